"""Free text of people and machines: one line, in which nothing passes for something else; counts, durations in words.

A reason with line breaks would forge lines in a notification; control characters drive terminals; characters that turn
the direction of writing make a text read as another one.
"""

import unicodedata
from collections.abc import Sequence

from deployments.core.hidden_characters import visible
from engine.errors import InvalidRequest

LIMIT = 500
"""Characters of a reason or comment."""
_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def checked(text: str, *, what: str = "A reason", limit: int = LIMIT) -> str:
    """`text` as it is kept: white space of any kind, line breaks too, is one space.

    Raises InvalidRequest for what is too long, holds control characters, or turns the direction of writing.
    """
    line = " ".join(text.split())
    if harmful := [character for character in line if _harmful(character)]:
        raise InvalidRequest(
            f"{what} holds the character {visible(harmful[0], lines=False)}, which is not shown as what it is.",
            hint="Leave it out.",
            reason="hidden_character",
        )
    if len(line) > limit:
        raise InvalidRequest(f"{what} has at most {limit} characters.", hint="Say it more briefly.")
    return line


def one_line(text: str) -> str:
    """The same for what machines say: nothing is refused, what hides is marked instead (`[U+001B]`)."""
    return visible(" ".join(text.split()), lines=False)


def whole_number(text: str, digits: int = 15) -> int | None:
    """The number that somebody wrote in plain digits, at most so many; None for anything else.

    Fifteen digits are what every database keeps and every browser counts exactly.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits else None


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 alert`, `2 alerts`, `0 entries` where the word for several is given."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"


def named(names: Sequence[str], word: str = "and", most: int = 3) -> str:
    """`ada`; `ada and bob`; `ada, bob, cleo and 2 more`. There is at least one."""
    if len(names) > most:
        return f"{', '.join(names[:most])} {word} {len(names) - most} more"
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def spoken(seconds: float) -> str:
    """3 d 4 h, 12 min 5 s, 4.2 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, name in _UNITS:
        if whole >= size:
            part = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {part} {name}" if part else "")
    return f"{whole} s"


def _harmful(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in ("Cc", "Cs")
