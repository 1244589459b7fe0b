"""Trees of files: what lies in them, and where symbolic links lead."""

import os
import socket
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.artifacts.errors import UnknownSource
from engine.artifacts.problems import Problem
from engine.artifacts.source import DirectoryTree, Kind, resolve
from tests.engine.artifacts.projects import write


def test_a_directory_is_listed_without_what_no_release_contains(tmp_path: Path) -> None:
    kept = {"a.py": "1", "b/c": "2", ".env": "3", "b/.gitignore": "4"}
    never = {"__pycache__/a.cpython-311.pyc": "x", "b/old.pyc": "x", ".git/config": "x", "b/.git/config": "x"}
    write(tmp_path, kept | never)
    tree = DirectoryTree(tmp_path)
    assert sorted(tree.entries) == sorted(kept)
    assert tree.read("b/c") == b"2"


def test_kinds_are_told_apart_and_nothing_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"file": "", "tool": ""})
    (tmp_path / "tool").chmod(0o750)
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    entries = DirectoryTree(tmp_path).entries
    assert {path: (entry.kind, entry.executable) for path, entry in entries.items()} == {
        "file": (Kind.FILE, False),
        "tool": (Kind.FILE, True),
        "link": (Kind.LINK, False),
        "pipe": (Kind.SPECIAL, False),
        "socket": (Kind.SPECIAL, False),
    }


def test_a_file_exchanged_for_a_link_after_listing_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"tree/a": "mine", "outside": "not mine"})
    tree = DirectoryTree(tmp_path / "tree")
    assert list(tree.entries) == ["a"]
    (tmp_path / "tree/a").unlink()
    (tmp_path / "tree/a").symlink_to("../outside")
    with pytest.raises(UnknownSource, match="a cannot be read"):
        tree.read("a")


def test_a_directory_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownSource, match="cannot be read: No such file"):
        _ = DirectoryTree(tmp_path / "gone").entries


@pytest.mark.parametrize(
    ("target", "reason", "wrong"),
    [
        ("/etc/passwd", "symlink_escapes", "leads out of the tree"),
        ("../outside", "symlink_escapes", "leads out of the tree"),
        ("d/../../outside", "symlink_escapes", "leads out of the tree"),
        ("out/passwd", "symlink_escapes", "leads out of the tree"),
        ("gone", "symlink_broken", "leads to 'gone', which does not exist"),
        ("gone/../d/f", "symlink_broken", "leads to 'gone', which does not exist"),
        ("d", "symlink_broken", "leads to a directory"),
        (".", "symlink_broken", "leads to a directory"),
        ("link", "symlink_broken", "leads in a circle"),
        ("d/f/.", "symlink_broken", "leads through 'd/f', which is no directory"),
        ("d/f/x", "symlink_broken", "leads through 'd/f', which is no directory"),
        ("pipe", "symlink_broken", "leads to a pipe, socket or device"),
    ],
)
def test_a_link_that_cannot_be_stored_is_explained(tmp_path: Path, target: str, reason: str, wrong: str) -> None:
    write(tmp_path, {"outside": "x", "tree/d/f": "x"})
    (tmp_path / "tree/out").symlink_to("/etc")
    os.mkfifo(tmp_path / "tree/pipe")
    (tmp_path / "tree/link").symlink_to(target)
    problem = resolve(DirectoryTree(tmp_path / "tree"), "link")
    assert isinstance(problem, Problem)
    assert (problem.key, problem.reason) == ("link", reason)
    assert wrong in problem.wrong


TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", ".", "d"]), min_size=1, max_size=4).map("/".join)
PLACES = st.sampled_from(["a", "b", "c", "d/a", "d/b", "d/d/a", "d/d/c"])


@settings(max_examples=300)
@given(st.dictionaries(PLACES, TARGETS | st.none(), max_size=7), PLACES)
def test_links_lead_where_the_kernel_says(layout: dict[str, str | None], asked: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = write(Path(directory, "tree"), {"d/d/e": ""})
        for place, target in layout.items():
            if target is None:
                (root / place).write_text("")
            else:
                (root / place).symlink_to(target)
        found, real = resolve(DirectoryTree(root), asked), _real(root / asked)
        if isinstance(found, str):
            assert real == root / found
            assert real.is_file()
        elif found.reason == "symlink_broken":
            assert real is None or not real.is_file()
        else:
            assert found.reason == "symlink_escapes"
            assert real is None or not real.is_relative_to(root)


def _real(path: Path) -> Path | None:
    # os.path.realpath lets "file/.." pass, the kernel does not
    try:
        descriptor = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("line", ["path =" + "\t" * 100_000, "path" + " " * 100_000 + "x", "\t" * 100_000, 'path = "'])
def test_a_list_of_submodules_costs_little_whatever_it_says(tmp_path: Path, line: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".gitmodules").write_text(f'[submodule "deep"]\n\tpath = "deep"\r\n{line}\n' * 8)
    began = time.process_time()
    found = DirectoryTree(tmp_path).entries
    assert time.process_time() - began < 5
    assert found["deep"].kind is Kind.SUBMODULE
