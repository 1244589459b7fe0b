"""Chat text: what CyTube makes of it, and back."""

from __future__ import annotations

import html
import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>")
# CyTube's default filters, which are on in every channel that has not changed them (docs/cytube-protocol.md).
_MARKS = {"em": "_", "strong": "*", "code": "`", "s": "~~"}
_SPOILER = re.compile(r"class=\"spoiler\"")
_MARK = re.compile(r"[_*`~]")
_SPOILER_MARK = re.compile(r"\[/?sp\]", re.IGNORECASE)
# Where one piece of formatting ends, another that overlaps it may have been closed too.
_OVERLAP = re.compile(r"(</(em|strong|code|s|span)>){2}")


def plain(message: str) -> str:
    """The text a person typed: CyTube escapes HTML, makes links, and formats by the channel's filters."""
    if "<" not in message:
        return html.unescape(message)
    spans: list[str] = []

    def typed(match: re.Match[str]) -> str:
        closing, name, attributes = match.groups()
        if name != "span":
            return _MARKS.get(name, "")
        if closing:
            return spans.pop() if spans else ""
        spoiler = _SPOILER.search(attributes) is not None
        spans.append("[/sp]" if spoiler else "")
        return "[sp]" if spoiler else ""

    return html.unescape(_TAG.sub(typed, message))


def is_certain(message: str) -> bool:
    """Whether `plain` must be what was typed: not with tags of other filters, nor where formatting may overlap."""
    if "<" not in message:
        return True
    known = all(
        name in _MARKS or name == "a" or (name == "span" and (closing or _SPOILER.search(attributes)))
        for closing, name, attributes in _TAG.findall(message)
    )
    return known and _OVERLAP.search(message) is None


def bare(text: str) -> str:
    """The text without marks for formatting, and with single spaces: what even overlapping formatting leaves alone."""
    text = _MARK.sub("", text)
    while (without := _SPOILER_MARK.sub("", text)) != text:
        text = without
    return _SPACE.sub(" ", _CONTROL.sub(" ", text)).strip()


def same(sent: str, echoed: str) -> bool:
    """Whether an echo shows the text we sent."""
    return bare(sent) == bare(plain(echoed))


def one_line(text: str) -> str:
    """The text without control characters and line breaks, which CyTube turns into spaces."""
    return _CONTROL.sub(" ", encodable(text)).strip()


def encodable(text: str) -> str:
    """The text without half characters, which JSON allows and neither files nor databases take."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
