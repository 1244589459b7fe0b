"""Chat text: what CyTube makes of it, and back."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

# CyTube cuts chat lines at 320 characters (recording, scenario 05).
LINE_LENGTH = 320
_TAG = re.compile(r"<[^<>]*>")
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def plain(message: str) -> str:
    """The text a person typed: CyTube escapes HTML, makes links and applies the channel's filters."""
    return html.unescape(_TAG.sub("", message))


def same(sent: str, echoed: str) -> bool:
    """Whether an echo is the text we sent, as far as escaping, spaces and the cut at 320 characters go."""
    return _squeeze(sent)[:LINE_LENGTH] == _squeeze(plain(echoed))[:LINE_LENGTH]


def one_line(text: str) -> str:
    """The text without control characters and line breaks, which CyTube turns into spaces."""
    return _CONTROL.sub(" ", encodable(text)).strip()


def encodable(text: str) -> str:
    """The text without half characters, which JSON allows and neither files nor databases take."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def chunks(parts: Iterable[str], *, separator: str = " · ", limit: int = LINE_LENGTH) -> Iterator[str]:
    """The parts in as few messages as possible; a part is only cut if it alone is too long."""
    line = ""
    for part in parts:
        text = one_line(part)
        joined = f"{line}{separator}{text}" if line and text else line or text
        if len(joined) <= limit:
            line = joined
            continue
        if line:
            yield line
        while len(text) > limit:
            cut = text.rfind(" ", 1, limit + 1)
            cut = cut if cut > limit // 2 else limit
            yield text[:cut].rstrip()
            text = text[cut:].lstrip()
        line = text
    if line:
        yield line


def _squeeze(text: str) -> str:
    return _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()
