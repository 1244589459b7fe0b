"""Text of other people's as it is: what cannot be seen is shown by its number, as in `[U+202E]`.

A right-to-left override makes a difference read as another one, a zero-width space makes two names look equal, an
escape sequence moves a terminal's cursor. Whoever decides must see that they are there. (Unicode TR36, TR39;
CVE-2021-42574.)
"""

import json
import re
import unicodedata
from collections.abc import Iterable

WARNING = "Characters that cannot be seen, or that change what is seen, stand here as marks like [U+202E]."
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks that show nothing
_CANDIDATE = re.compile(
    "[^\x20-\x7e\u00a1-\u00ac\u00ae-\u034e\u0370-\u0377\u0400-\u052f\u05d0-\u05ea\u0620-\u064a\u0904-\u0939\u2010-\u2027"
    "\u2030-\u205e\u2190-\u23ff\u2500-\u27ff\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\U0001f300-\U0001faff]"
)
"""Everything but the letters and symbols that texts mostly consist of: a page of them takes a millisecond so."""
_VARIATION, _JOINER = "\ufe0f", "\u200d"


def visible(text: str, *, lines: bool = True) -> str:
    """`text` with a mark for every character that hides; with `lines` line feeds and tabs stay as they are.

    Emoji stay whole: their joiners and variation selectors hide nothing where they stand.
    """
    if text.isascii() and text.isprintable():
        return text

    def shown(match: re.Match[str]) -> str:
        character = match[0]
        if (lines and character in "\n\t") or not _hides(text, match.start()):
            return character
        return f"[U+{ord(character):04X}]"

    return _CANDIDATE.sub(shown, text)


def visible_lines(texts: Iterable[str]) -> list[str]:
    """Each as one line, whatever line breaks it holds, with a mark for every character that hides."""
    return [visible(" · ".join(text.splitlines()), lines=False) for text in texts]


def hides(text: str) -> bool:
    """Whether something in it would be marked."""
    return visible(text) != text


def visible_json(document: str) -> str:
    """A JSON text that means the same, with `\\u202e` where a character would hide."""

    def escaped(match: re.Match[str]) -> str:
        # a line feed stands between values only: within one, JSON escapes it already
        return json.dumps(match[0])[1:-1] if match[0] != "\n" and _hides(document, match.start()) else match[0]

    return _CANDIDATE.sub(escaped, document)


def _hides(text: str, index: int) -> bool:
    character = text[index]
    kind = unicodedata.category(character)
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if character == _VARIATION and _picture(before):
        return False
    if character == _JOINER and (_picture(before) or before == _VARIATION) and _picture(after):
        return False
    if kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in _BLANK:
        return True
    return (
        0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF or 0x180B <= ord(character) <= 0x180F
    )


def _picture(character: str) -> bool:
    """Whether emoji are made of it: a symbol, or one of the five tones of skin."""
    return bool(character) and (unicodedata.category(character) == "So" or "\U0001f3fb" <= character <= "\U0001f3ff")
