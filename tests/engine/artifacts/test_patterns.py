"""Globs of deploy.toml."""

import re

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
