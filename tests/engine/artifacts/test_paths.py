"""Which paths may be in a release."""

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.paths import clashes, why_unsafe

NAMES = st.text(st.sampled_from("aA.bé\u0301ßß/\\ \n\x00~…\ud800"), max_size=12)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a/..", "leads out"),
        ("a//b", "empty or '.'"),
        ("a/", "empty or '.'"),
        ("./a", "empty or '.'"),
        ("a\nb", "line break"),
        ("a\x00b", "control character"),
        ("a\x1b[2Jb", "control character"),
        ("a\u2028b", "line break"),
        ("a\udcffb", "not valid UTF-8"),
        ("n" * 256, "too long"),
        ("é" * 128, "too long"),
        ("a/" * 2000 + "a", "too long"),
    ],
)
def test_a_path_that_could_surprise_a_server_is_refused(path: str, why: str) -> None:
    assert why in (why_unsafe(path) or "accepted")


@pytest.mark.parametrize("path", ["a", "a/b.py", ".hidden", "..a/b..", "…", "a b", "ü/日本.txt", "-rf", "n" * 255])
def test_an_ordinary_path_is_accepted(path: str) -> None:
    assert why_unsafe(path) is None


@given(NAMES)
def test_an_accepted_path_stays_below_its_directory_and_is_already_normal(path: str) -> None:
    if why_unsafe(path) is None:
        assert os.path.normpath(f"/opt/x/releases/1/{path}") == f"/opt/x/releases/1/{path}"
        assert path.encode().decode() == path


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a", "b", "a/b"], []),
        (["README", "readme"], [("README", "readme")]),
        (["A/x", "a/y"], [("A", "a")]),
        (["A/x", "a/x", "A/z"], [("A", "a")]),
        (["caf\u00e9", "cafe\u0301"], [("cafe\u0301", "caf\u00e9")]),
        (["stra\u00dfe", "STRASSE"], [("STRASSE", "stra\u00dfe")]),
        (["x/a", "x/A", "y/a"], [("x/A", "x/a")]),
    ],
)
def test_paths_that_are_one_elsewhere_are_told_once(paths: list[str], found: list[tuple[str, ...]]) -> None:
    assert clashes(paths) == found


@given(st.lists(st.text(st.sampled_from("aAbBéE\u0301ß/"), min_size=1, max_size=5), max_size=6, unique=True))
def test_no_clash_is_overlooked(paths: list[str]) -> None:
    folded = {unicodedata.normalize("NFC", path.casefold()) for path in paths}
    if len(folded) < len(paths):
        assert clashes(paths)
