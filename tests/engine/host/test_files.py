"""Files and links that are whole at every moment."""

import errno
import hashlib
import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.host.agent import files
from engine.host.agent.files import (
    canonical,
    delete,
    discard,
    exchange,
    modified,
    names_in,
    now_iso,
    read_json,
    readlink,
    sha256_file,
    swap_link,
    unlink,
    write_all,
    write_atomic,
)


def test_a_file_is_exchanged_whole_and_has_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o077)
    try:
        write_atomic(str(path), b"one")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        write_atomic(str(path), b"two", mode=0o600, sync=False)
    finally:
        os.umask(before)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o600)
    assert names_in(str(tmp_path)) == ["file"]


def test_what_cannot_be_written_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    open_before = len(names_in("/proc/self/fd"))

    def full(fd: int, content: bytes) -> None:
        os.write(fd, content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_all", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(str(path), b"new")
    assert (path.read_bytes(), names_in(str(tmp_path))) == (b"old", ["file"])
    assert len(names_in("/proc/self/fd")) == open_before


@pytest.mark.parametrize(("sync", "times"), [(True, 2), (False, 0)])
def test_what_matters_is_on_disk_with_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, times: int
) -> None:
    synced: list[str | None] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(readlink(f"/proc/self/fd/{fd}")))
    write_atomic(str(tmp_path / "file"), b"x", sync=sync)
    assert len(synced) == times
    assert synced[1:] == [str(tmp_path)] * (times > 0)


def test_all_of_it_is_written_however_little_is_taken_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fd = os.write, os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    monkeypatch.setattr(os, "write", lambda fd, content: real(fd, bytes(content)[:3]))
    write_all(fd, b"0123456789")
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_link_leads_elsewhere_by_one_rename(tmp_path: Path) -> None:
    link = str(tmp_path / "current")
    assert readlink(link) is None
    for target in ("releases/1", "releases/2"):
        Path(f"{link}.{os.getpid()}.new").touch()  # of a process that died on its way
        swap_link(link, target)
        assert (readlink(link), names_in(str(tmp_path))) == (target, ["current"])
    assert readlink(str(tmp_path)) is None


def test_a_directory_goes_by_a_rename_and_what_is_gone_is_no_trouble(tmp_path: Path) -> None:
    for name in (".staging-1", "old"):
        (tmp_path / name / "deep").mkdir(parents=True)
        discard(str(tmp_path / name))
    discard(str(tmp_path / "never there"))
    left = names_in(str(tmp_path))
    assert [name.rpartition("-")[0] for name in left] == [".trash-old", ".trash-staging-1"]
    assert (tmp_path / left[0] / "deep").is_dir()


def test_what_is_deleted_takes_no_more_than_itself(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    for each in (kept, gone / "a" / "b"):
        each.mkdir(parents=True)
        (each / "file").touch()
    (gone / "link").symlink_to(kept)
    (gone / "dangling").symlink_to("nowhere")
    delete(str(gone))
    delete(str(gone))
    unlink(str(gone))
    assert (names_in(str(tmp_path)), names_in(str(kept)), names_in(str(gone))) == (["kept"], ["file"], [])


def test_a_digest_is_that_of_the_content_and_never_of_what_a_link_leads_to(tmp_path: Path) -> None:
    path, content = tmp_path / "file", b"x" * 3_000_000
    path.write_bytes(content)
    assert sha256_file(str(path)) == hashlib.sha256(content).hexdigest()
    (tmp_path / "link").symlink_to(path)
    before = len(names_in("/proc/self/fd"))
    with pytest.raises(OSError, match="symbolic links"):
        sha256_file(str(tmp_path / "link"))
    sha256_file(str(path))
    assert len(names_in("/proc/self/fd")) == before


def test_equal_values_have_one_text() -> None:
    assert (
        canonical({"b": [1, None], "a": "é"})
        == canonical({"a": "é", "b": [1, None]})
        == (b'{"a":"\\u00e9","b":[1,null]}')
    )


def test_torn_json_and_none_are_the_default(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_json(str(path), 7) == 7
    path.write_bytes(b'{"a": 1')
    assert read_json(str(path), 7) == 7
    path.write_bytes(b'{"a": 1}')
    assert read_json(str(path), 7) == {"a": 1}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_to_the_millisecond(
    monkeypatch: pytest.MonkeyPatch, seconds: float, text: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: seconds)
    assert now_iso() == text
    assert abs(datetime.fromisoformat(text) - datetime.fromtimestamp(seconds, UTC)).total_seconds() < 0.001


def test_two_directories_change_names_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"was {name}").touch()
    exchange(str(tmp_path / "one"), str(tmp_path / "two"))
    assert (names_in(str(tmp_path / "one")), names_in(str(tmp_path / "two"))) == (["was two"], ["was one"])
    for other, code in (("none", errno.ENOENT), ("x" * 300, errno.ENAMETOOLONG), ("none", errno.ENOENT)):
        with pytest.raises(OSError, match=os.strerror(code)) as refused:
            exchange(str(tmp_path / "one"), str(tmp_path / other))
        assert (refused.value.errno, refused.value.filename) == (code, str(tmp_path / "one"))


def test_when_a_file_was_changed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.utime(tmp_path / "file", (5, 7.5))
    assert (modified(str(tmp_path / "file")), modified(str(tmp_path / "none"))) == (7.5, 0.0)
