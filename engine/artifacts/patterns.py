"""Globs of deploy.toml: `*` and `?` within a name, `**` across directories; a directory stands for all below it."""

import re
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression for one glob; it matches the path itself and everything below it.

    Whoever uploads a release writes these, so a match never goes back on itself: what stands between two stars is
    looked for once, where it comes first (an atomic group), and that is as good a place as any.
    """
    names = pattern.strip("/").split("/")
    runs: list[list[str]] = [[]]
    for name in names:
        if name == "**":
            runs.append([])
        else:
            runs[-1].append(name)
    below = names[-1] == "**"
    if below:
        runs.pop()
    pieces = [_run(run, last=index == len(runs) - 1 and not below) for index, run in enumerate(runs) if run]
    starts_anywhere = not runs or not runs[0]
    expression = "".join(
        f"(?>(?:[^/]+/)*?{piece})" if index or starts_anywhere else piece for index, piece in enumerate(pieces)
    )
    return re.compile(expression + (".+" if below else r"(?:/.*)?"), re.DOTALL)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether any of the globs covers `path`."""
    return any(compiled(pattern).fullmatch(path) for pattern in patterns)


def _run(names: list[str], *, last: bool) -> str:
    """Names that stand directly below each other."""
    return "/".join(_name(name) for name in names) + (r"(?=/|\Z)" if last else "/")


def _name(name: str) -> str:
    first, *rest = (
        "".join("[^/]" if character == "?" else re.escape(character) for character in piece)
        for piece in re.split(r"\*+", name)
    )
    if not rest:
        return first
    return first + "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1]) + f"[^/]*{rest[-1]}"
