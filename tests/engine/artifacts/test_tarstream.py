"""Tar headers of our own are understood by others, and are what the offsets say."""

import io
import subprocess
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts import tarstream

NAME = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cc"]), min_size=1, max_size=80
)
PATHS = st.lists(NAME, min_size=1, max_size=8).map("/".join)
ASCII = st.lists(st.text(st.sampled_from("abc-_. "), min_size=1, max_size=120), min_size=1, max_size=4).map("/".join)


def archive(path: str, mode: int, content: bytes) -> bytes:
    header = tarstream.header(path, mode, len(content))
    member = header + content + tarstream.padding(len(content))
    assert tarstream.layout([(path, mode, len(content))], 512) == ([512 + len(header)], 512 + len(member))
    assert len(member) % tarstream.BLOCK == 0
    return member + tarstream.END


@given(PATHS | ASCII, st.sampled_from([0o444, 0o555]), st.binary(max_size=1100))
def test_python_reads_what_is_written(path: str, mode: int, content: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(path, mode, content)), errorlevel=2) as tar:
        (member,) = tar.getmembers()
        extracted = tar.extractfile(member)
        assert extracted is not None
        assert extracted.read() == content
    # tarfile itself drops the slashes at the end of a name
    assert member.name == path.rstrip("/")
    assert (member.mode, member.uid, member.gid, member.mtime, member.isreg()) == (mode, 0, 0, 0, True)


def test_gnu_tar_reads_what_is_written(tmp_path: Path) -> None:
    paths = [
        "a",
        "n" * 100,
        "n" * 101,
        "d" * 100 + "/" + "n" * 100,
        "d" * 156 + "/" + "n" * 99,
        "e/" + "n" * 101,
        "é/日本 ü",
        "x" * 255,
    ]
    body = b"".join(
        tarstream.header(path, 0o555, len(path))
        + path[:1].encode().ljust(len(path), b".")
        + tarstream.padding(len(path))
        for path in paths
    )
    done = subprocess.run(["tar", "-xf-", "-C", tmp_path], input=body + tarstream.END, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    found = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert set(found) == set(paths)
    assert {path: found[path].stat().st_size for path in found} == {path: len(path) for path in paths}
