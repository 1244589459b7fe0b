"""Globs of deploy.toml."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.artifacts.patterns import compiled, matches


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("**", ["a", "a/b", ".x"], []),
        ("a", ["a", "a/b", "a/b/c"], ["ab", "b/a", "A"]),
        ("a/", ["a/b"], ["b"]),
        ("*.py", ["a.py", "a.py/x"], ["b/a.py", "a.pyc"]),
        ("**/*.py", ["a.py", "b/a.py", "b/c/a.py"], ["a.pyc"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a/b/c"], ["a", "a/xb"]),
        ("**/tests/**", ["tests/a", "x/tests/a/b"], ["tests", "x/tests", "test/a"]),
        ("**/tests", ["tests", "x/tests", "x/tests/a"], ["mytests"]),
        ("**/**/a", ["a", "b/a"], ["b"]),
        ("a?c", ["abc"], ["ac", "a/c", "abbc"]),
        ("a***b", ["ab", "axb"], ["a/b"]),
        ("a.b", ["a.b"], ["axb"]),
        ("[ab]", ["[ab]"], ["a"]),
        ("a+(b)|c", ["a+(b)|c"], ["c", "aab"]),
    ],
)
def test_a_glob_covers(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    assert [path for path in [*covered, *not_covered] if matches(path, [pattern])] == covered


@given(st.lists(st.text(st.sampled_from("ab.-+([^$é"), min_size=1, max_size=4), min_size=1, max_size=4))
def test_a_path_covers_itself_and_what_lies_below_and_nothing_beside(names: list[str]) -> None:
    path = "/".join(names)
    assert matches(path, [path])
    assert matches(f"{path}/below", [path])
    assert not matches(f"{path}x", [path])
    assert matches(path, ["**"])


@given(st.text(st.sampled_from("a*?/."), max_size=12), st.text(st.sampled_from("a/."), min_size=1, max_size=8))
def test_any_glob_compiles_and_answers(pattern: str, path: str) -> None:
    assert isinstance(compiled(pattern), re.Pattern)
    assert matches(path, [pattern]) in {True, False}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "b", "a" * 250),
        ("?*" * 60 + "b", "a" * 255),
        ("**/a/" * 30 + "b", "a/" * 1900 + "a"),
        ("**/*a*a*a*b/" * 10 + "c", f"{'a' * 100}/" * 38 + "x"),
        ("**/" + "a?/" * 20 + "**/b", "ab/" * 1200 + "x"),
    ],
)
def test_no_pattern_makes_a_match_go_back_on_itself(pattern: str, path: str) -> None:
    began = time.process_time()
    assert not compiled(pattern).fullmatch(path)
    assert time.process_time() - began < 2  # the first of them took longer than anybody waits


def slowly(pattern: list[str], path: list[str]) -> bool:
    """What a glob means, by definition."""
    if not pattern:
        return True  # and everything below
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(slowly(pattern[1:], path[start:]) for start in range(len(path)))
    return bool(path) and named(pattern[0], path[0]) and slowly(pattern[1:], path[1:])


def named(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return any(named(glob[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and glob[0] in ("?", name[0]) and named(glob[1:], name[1:])


NAMES = st.text("ab", min_size=1, max_size=4)
GLOBS = st.one_of(st.just("**"), st.text("ab*?", min_size=1, max_size=5))


@given(st.lists(GLOBS, min_size=1, max_size=5), st.lists(NAMES, min_size=1, max_size=6))
def test_what_matches_is_what_a_glob_means(pattern: list[str], path: list[str]) -> None:
    meant = [name for name, before in zip(pattern, [None, *pattern], strict=False) if (name, before) != ("**", "**")]
    assert matches("/".join(path), ["/".join(pattern)]) == slowly(meant, path)
