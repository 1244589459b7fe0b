"""Numbers that a person types on the command line, each within what it can mean."""

from argparse import ArgumentTypeError
from dataclasses import dataclass
from math import isfinite

LARGEST = 2**53
"""Of the numbers that records have."""


@dataclass(frozen=True)
class Whole:
    """argparse's type of a whole number from `least` to `most`; anything else is refused by a sentence."""

    least: int
    most: int

    def __call__(self, text: str) -> int:
        """The number in `text`, plain digits. Raises ArgumentTypeError."""
        digits = text.removeprefix("-")
        number = int(text) if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(self.most)) else None
        if number is None or not self.least <= number <= self.most:
            raise ArgumentTypeError(f"{text[:40]!r} is no whole number from {self.least} to {self.most}.")
        return number


@dataclass(frozen=True)
class Decimal:
    """The same for a number with a fraction."""

    least: float
    most: float

    def __call__(self, text: str) -> float:
        """The number in `text`. Raises ArgumentTypeError, also for what is infinite or no number at all."""
        try:
            number = float(text) if text.isascii() and "_" not in text else float("nan")
        except ValueError:
            number = float("nan")
        if not isfinite(number) or not self.least <= number <= self.most:
            raise ArgumentTypeError(f"{text[:40]!r} is no number from {self.least:g} to {self.most:g}.")
        return number


RECORD = Whole(1, LARGEST)
"""The number of a deployment or an alert."""
SECONDS = Decimal(0, 1_000_000)
"""How long to wait: eleven days at most."""
COUNT = Whole(1, 1_000_000)
"""How many, or how many minutes: what is asked for may be less, and says so itself."""
