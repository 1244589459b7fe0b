"""A unit file as systemd reads it (config_parse and read_line of src/shared/conf-parser.c, systemd 252)."""

from __future__ import annotations

import re
from typing import List, NamedTuple

BLANKS = " \t\n\r"
LONGEST_UNIT = 1 << 16  # characters of a file; the longest of ours has 3,000


class Unreadable(ValueError):
    """Not a unit file that systemd and a person read alike; the text says where."""


class Assignment(NamedTuple):
    """One `key=value` of a section, continued lines joined; `line` is where it ends."""

    line: int
    section: str
    key: str
    value: str


def read_unit(content: bytes) -> List[Assignment]:
    """Every assignment in order, those included that a later one takes back. Raises Unreadable.

    What systemd leaves to others, sections and keys that begin with `X-`, is none: it gives a unit nothing.
    """
    found: List[Assignment] = []
    section, pending = "", ""
    for number, raw in enumerate([*_lines(content), ""], start=1):  # the end of the file ends what is continued
        line = raw.lstrip(BLANKS)
        if line[:1] in ("#", ";"):  # also between the lines of one that is continued
            continue
        pending += line
        if _ends_in_escape(pending):
            pending = pending[:-1] + " "
            continue
        text, pending = pending.strip(BLANKS), ""
        if text.startswith("["):
            section = _section(text, number)
        elif text:
            key, equals, value = text.partition("=")
            if not equals or not section:
                raise Unreadable("line %d is no 'key=value' of a section" % number)
            said = Assignment(number, section, key.strip(BLANKS), value.strip(BLANKS))
            if not said.section.startswith("X-") and not said.key.startswith("X-"):
                found.append(said)
    return found


def in_the_end(said: List[Assignment], section: str, key: str) -> List[str]:
    """What a key of a section is in the end: an empty value takes back those before it."""
    values: List[str] = []
    for line in said:
        if line.section == section and line.key == key:
            values = [*values, line.value] if line.value else []
    return values


def _section(text: str, number: int) -> str:
    if not text.endswith("]"):
        raise Unreadable("line %d begins a section and does not end it" % number)
    return text[1:-1]


def _lines(content: bytes) -> List[str]:
    """systemd ends a line at a line feed, a carriage return, both, or a NUL; the last is refused here."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8") from None
    if text.startswith("\ufeff"):
        text = text[1:]
        if text.lstrip(BLANKS)[:1] in ("#", ";"):  # no comment for systemd: it could be continued over a section's name
            raise Unreadable("begins with U+FEFF, which does not show, before a comment")
    if len(text) > LONGEST_UNIT:
        raise Unreadable("has more than %d characters" % LONGEST_UNIT)
    strange = re.search(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", text
    )
    if strange:
        raise Unreadable("has the character U+%04X, which does not show" % ord(strange.group()))
    return re.split("\r\n|\n\r|\n|\r", text)


def _ends_in_escape(text: str) -> bool:
    escaped = False
    for character in text:
        escaped = character == "\\" and not escaped
    return escaped


def commands(value: str) -> List[str]:
    """The first word of every command of an Exec line, quotes and escapes as they stand: `;` begins another one."""
    first, wanted = [], True
    for word in words(value):
        if word == ";":
            wanted = True
        elif wanted:
            first.append(word)
            wanted = False
    return first


def words(value: str) -> List[str]:
    """Where systemd splits a line into words: at blanks outside quotes and escapes."""
    split: List[str] = []
    word, quote, escaped = "", "", False
    for character in value:
        if escaped or (character == "\\"):
            escaped = not escaped
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in BLANKS:
            if word:
                split.append(word)
            word = ""
            continue
        word += character
    return [*split, word] if word else split
