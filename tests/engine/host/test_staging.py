"""Building a release beside the others: links are never written through, and only what the manifest names gets in."""

import hashlib
import os
import struct
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.artifacts import tarstream
from engine.host.agent.errors import Hangup, Refused
from engine.host.agent.files import canonical
from engine.host.agent.limits import Row
from engine.host.agent.releases import Staging, release_problems
from engine.host.agent.tree import Tree
from engine.host.agent.wire import Frames, TarReader


def row(path: str, content: bytes, mode: int = 0o444) -> Row:
    return (path, mode, hashlib.sha256(content).hexdigest(), len(content))


def tar(files: Iterable[tuple[str, bytes]]) -> bytes:
    pieces = [
        tarstream.header(path, 0o444, len(content)) + content + tarstream.padding(len(content))
        for path, content in files
    ]
    return b"".join([*pieces, tarstream.END])


def frames(content: bytes) -> Frames:
    """What arrives on standard input."""
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(content)

    threading.Thread(target=feed, daemon=True).start()
    return Frames(read_end)


def frame(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">cQ", kind, len(content)) + content


def put_release(tree: Tree, name: str, files: dict[str, bytes]) -> list[Row]:
    rows = [row(path, content) for path, content in files.items()]
    for path, content in files.items():
        target = Path(tree.release(name), path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o444)
    Path(tree.manifest_path(name)).write_bytes(canonical(rows))
    return rows


def staging(tree: Tree, rows: list[Row]) -> Staging:
    made = Staging(tree, rows, f"{tree.releases}/.staging-1")
    made.make_directories()
    return made


def test_equal_files_are_links_and_a_changed_one_leaves_the_old_as_it_was(tree: Tree) -> None:
    put_release(tree, "old", {"a/same": b"same", "b": b"old"})
    wanted = [row("a/same", b"same"), row("b", b"new")]
    made = staging(tree, wanted)
    left = made.link_from("old", wanted)
    assert left == [wanted[1]]
    made.receive(frames(frame(b"T", tar([("b", b"new")]))))
    assert made.wrong(wanted) == []
    assert Path(made.path("a/same")).samefile(tree.release("old") + "/a/same")
    assert Path(tree.release("old"), "b").read_bytes() == b"old"
    assert release_problems(f"{tree.releases}/.staging-1", wanted) == []


def test_a_file_that_arrives_over_a_link_replaces_the_link(tree: Tree) -> None:
    rows = put_release(tree, "old", {"b": b"old"})
    made = staging(tree, rows)
    assert made.link_from("old", rows) == []
    made.receive(frames(frame(b"T", tar([("b", b"NEW")]))))
    assert Path(tree.release("old"), "b").read_bytes() == b"old"
    assert made.wrong(rows) == rows  # and is not what the manifest says


def test_the_same_content_with_another_mode_is_a_copy(tree: Tree) -> None:
    put_release(tree, "old", {"tool": b"#!"})
    wanted = [row("tool", b"#!", 0o555), row("notes", b"#!")]
    made = staging(tree, wanted)
    left = made.link_from("old", wanted)
    assert left == [wanted[0]]
    assert made.copy_within(left) == []
    assert made.wrong(wanted) == []
    assert not Path(made.path("tool")).samefile(made.path("notes"))


def test_a_link_to_a_damaged_file_is_found_and_taken_away(tree: Tree) -> None:
    rows = put_release(tree, "old", {"a": b"good", "b": b"good too"})
    path = Path(tree.release("old"), "a")
    path.chmod(0o644)
    path.write_bytes(b"evil")
    path.chmod(0o444)
    made = staging(tree, rows)
    assert made.link_from("old", rows) == []
    assert made.wrong(rows) == [rows[0]]
    assert not Path(made.path("a")).exists()
    assert path.read_bytes() == b"evil"  # evidence stays


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "other", "a/../../x"])
def test_a_path_that_the_manifest_does_not_have_is_refused(tree: Tree, path: str) -> None:
    made = staging(tree, [row("a", b"x")])
    with pytest.raises(Refused):
        made.receive(frames(frame(b"T", tar([(path, b"x")]))))


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_links_devices_and_directories_in_the_tar_are_refused(kind: bytes) -> None:
    header = bytearray(tarstream.header("a", 0o444, 0))
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(Refused, match="no file"):
        list(TarReader(frames(bytes(header) + tarstream.END), 1536).members())


def test_a_damaged_tar_is_refused() -> None:
    broken = bytearray(tar([("a", b"x")]))
    broken[10] ^= 1
    with pytest.raises(Refused, match="damaged"):
        list(TarReader(frames(bytes(broken)), len(broken)).members())


def test_a_line_that_is_cut_in_the_middle_of_a_file_is_noticed(tree: Tree) -> None:
    made = staging(tree, [row("a", bytes(10_000))])
    whole = frame(b"T", tar([("a", bytes(10_000))]))
    with pytest.raises(Hangup):
        made.receive(frames(whole[:3000]))


name = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs", "Cc")), min_size=1, max_size=60)
path = st.lists(name.filter(lambda part: part not in (".", "..")), min_size=1, max_size=6).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(path, st.binary(max_size=2000), max_size=5))
def test_every_tar_that_the_portal_writes_is_read_as_it_was(files: dict[str, bytes]) -> None:
    content = tar(files.items())
    reader = TarReader(frames(content), len(content))
    read = {path: b"".join(reader.content(size)) for path, size in reader.members()}
    assert read == files


def test_every_way_in_which_a_release_can_differ_is_told(tree: Tree) -> None:
    rows = put_release(tree, "r", {"a": b"a", "b": b"b", "c": b"c", "d/e": b"e", "f": b"f"})
    top = Path(tree.release("r"))
    for ours in (".release", ".envs", ".config"):
        (top / ours).mkdir()
    assert release_problems(str(top), rows) == []
    (top / "a").unlink()
    (top / "b").chmod(0o644)
    (top / "c").unlink()
    (top / "c").symlink_to("d/e")
    (top / "d" / "more").write_bytes(b"")
    (top / "f").unlink()
    (top / "f").write_bytes(b"F")
    (top / "f").chmod(0o444)
    assert release_problems(str(top), rows) == [
        ("a", "missing"),
        ("b", "mode"),
        ("c", "unreadable"),
        ("d/more", "extra"),
        ("f", "content"),
    ]
