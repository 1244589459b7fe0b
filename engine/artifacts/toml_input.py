"""TOML of other people: a key of thousands of parts costs the parser a time that grows with their square."""

import re
import tomllib
from typing import Any

MOST_PARTS = 100
_TEXTS = re.compile(
    r'"""(?s:\\.|[^\\])*?(?:"{3,5}|\Z)|"(?:\\.|[^"\\\n])*+(?:"|\\?(?=\n|\Z))|\#[^\n]*+'
    r"|'{3}(?s:.)*?(?:'{3,5}|\Z)|'[^'\n]*+'?"
)
"""Texts and comments: a dot in them divides nothing. One that is not closed is where the parser stops."""
_LONG_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{MOST_PARTS}}}")


def read_toml(text: str) -> dict[str, Any]:
    """The document. Raises ValueError, as TOMLDecodeError is one, and RecursionError."""
    if found := _LONG_KEY.search(_TEXTS.sub(_blank, text)):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key has more than {MOST_PARTS} parts (at line {line})")
    return tomllib.loads(text)


def _blank(found: re.Match[str]) -> str:
    """As long, with its line breaks, and a name where the text could be part of a key."""
    text = found[0]
    return re.sub(r"[^\n]", " ", text) if text.startswith("#") else re.sub(r"[^\n]", "x", text)
