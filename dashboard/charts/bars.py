"""Ninety days of uptime as bars. Height and colour say the same, so that neither is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.safestring import SafeString, mark_safe

from dashboard.intervals import PROMISED_UPTIME

FAIR = 0.95
_SHAPES = {"good": (2, 28), "fair": (9, 21), "bad": (16, 14), "none": (26, 4)}  # y and height in a box of 30


@dataclass(frozen=True)
class DayBar:
    """One day: the part of it that the bot was in its room, or None before it was first heard of."""

    day: date
    uptime: float | None
    index: int

    @property
    def grade(self) -> str:
        """good, fair, bad or none."""
        if self.uptime is None:
            return "none"
        if self.uptime >= PROMISED_UPTIME:
            return "good"
        return "fair" if self.uptime >= FAIR else "bad"

    @property
    def label(self) -> str:
        """What the bar says in words."""
        said = "no data" if self.uptime is None else percent(self.uptime)
        return f"{self.day.day} {self.day:%b}: {said}"


def drawn(bars: Sequence[DayBar]) -> SafeString:
    """The bars as SVG rectangles in a box of 900 × 30. In one piece: a template needs ten times as long for it."""
    parts = []
    for bar in bars:
        y, height = _SHAPES[bar.grade]
        parts.append(
            f'<rect class="bar-{bar.grade}" x="{bar.index * 10 + 1.5}" y="{y}" width="7" height="{height}" rx="2">'
            f"<title>{bar.label}</title></rect>"
        )
    return mark_safe("".join(parts))  # noqa: S308  (numbers, a date and words of this module)


def overall(bars: Sequence[DayBar]) -> float | None:
    """Mean uptime of the days that have one."""
    known = [bar.uptime for bar in bars if bar.uptime is not None]
    return sum(known) / len(known) if known else None


def percent(part: float) -> str:
    """`part` as a person writes it; never rounded up to 100."""
    if part >= 1:
        return "100 %"
    hundredths = int(part * 10000)
    return f"{hundredths / 100:.2f} %"
