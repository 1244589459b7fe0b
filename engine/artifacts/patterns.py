"""Globs of deploy.toml: `*` and `?` within a name, `**` across directories; a directory stands for all below it."""

import re
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression for one glob; it matches the path itself and everything below it.

    A linear expression whatever the pattern: neighbouring `**` are one.
    """
    parts: list[str] = []
    for name in pattern.strip("/").split("/"):
        if name == "**" and parts and parts[-1] == "**":
            continue
        parts.append(name)
    if parts == ["**"]:
        return re.compile(r".+", re.DOTALL)
    expression = ""
    for index, name in enumerate(parts):
        last = index == len(parts) - 1
        if name == "**":
            expression += ".+" if last else "(?:[^/]+/)*"
        else:
            expression += _name(name) + ("" if last else "/")
    return re.compile(expression + r"(?:/.*)?", re.DOTALL)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether any of the globs covers `path`."""
    return any(compiled(pattern).fullmatch(path) for pattern in patterns)


def _name(name: str) -> str:
    name = re.sub(r"\*+", "*", name)
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character)) for character in name)
