"""Cutting text into lines that a CyTube server shows whole.

The server counts UTF-16 units, in which an emoji is two or more, and cuts between any two of them. We cut at spaces,
and where there are none, between characters as people see them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from botcore.markup import one_line

# `max-chat-message-length` of a CyTube server, unless its operator says otherwise; its echoes show it when it is less.
LINE_LENGTH = 320
SEPARATOR = " · "
_JOINER = "\u200d"


def length(text: str) -> int:
    """UTF-16 units, as the server counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def chunks(parts: Iterable[str], *, limit: int = LINE_LENGTH) -> Iterator[str]:
    """The parts in as few lines as possible; a part is only cut if it alone is too long."""
    line = ""
    for part in parts:
        text = one_line(part)
        joined = f"{line}{SEPARATOR}{text}" if line and text else line or text
        if length(joined) <= limit:
            line = joined
            continue
        if line:
            yield line
        while length(text) > limit:
            end = fit(text, limit)
            yield text[:end].rstrip()
            text = text[end:].lstrip()
        line = text
    if line:
        yield line


def fit(text: str, limit: int) -> int:
    """How many characters of a text that is too long go into a line: up to its last space, unless that leaves half of
    it empty. At least one character as people see it, even when that one is longer than the line.
    """
    whole = _characters(text, limit)
    space = text.rfind(" ", 1, whole + 1)
    return space if length(text[: max(0, space)]) > limit // 2 else whole


def _characters(text: str, limit: int) -> int:
    used = end = flags = 0
    for place, character in enumerate(text):
        flags = flags + 1 if _is_flag(character) else 0
        if place and not _joins(text[place - 1], character, flags):
            end = place
        used += length(character)
        if used > limit and end:
            return end
    return len(text)


def _joins(before: str, character: str, flags: int) -> bool:
    """Whether a code point belongs to the character before it."""
    if _JOINER in (before, character) or "\U0001f3fb" <= character <= "\U0001f3ff":
        return True
    if "\U000e0020" <= character <= "\U000e007f" or (_is_flag(character) and flags % 2 == 0):
        return True
    return unicodedata.category(character) in {"Mn", "Me", "Mc"}


def _is_flag(character: str) -> bool:
    """Flags are pairs of regional indicators."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"
