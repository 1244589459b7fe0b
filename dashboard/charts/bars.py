"""Ninety days of uptime as bars. Height and colour say the same, so that neither is needed; no data is hollow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.safestring import SafeString, mark_safe

from dashboard.intervals import DAY, PROMISED_UPTIME, WHOLE
from deployments.core.texts import spoken

FAIR = 0.95
_SHAPES = {"good": (2, 28), "fair": (9, 21), "bad": (16, 14), "none": (2, 28)}  # y and height in a box of 30


@dataclass(frozen=True)
class DayBar:
    """One day: the part of its `observed` seconds that the bot was in its room, or None where nothing was observed."""

    day: date
    uptime: float | None
    index: int
    observed: float = DAY
    elapsed: float = DAY

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
        return f"{self.day.day} {self.day:%b}: {self.said}"

    @property
    def said(self) -> str:
        """The uptime, and of how much when that is not the whole day as far as it has gone."""
        return "no data" if self.uptime is None else of_observed(self.uptime, self.observed, self.elapsed)

    @property
    def whole(self) -> bool:
        """Whether all of the day, as far as it has gone, was observed."""
        return self.observed >= WHOLE * self.elapsed


def drawn(bars: Sequence[DayBar]) -> SafeString:
    """The bars as SVG rectangles in a box of 900 × 30. In one piece: a template needs ten times as long for it."""
    parts = []
    for bar in bars:
        y, height = _SHAPES[bar.grade]
        shape = f"bar-{bar.grade}" + ("" if bar.whole else " bar-part")
        parts.append(
            f'<rect class="{shape}" x="{bar.index * 10 + 1.5}" y="{y}" width="7" height="{height}" rx="2">'
            f"<title>{bar.label}</title></rect>"
        )
    return mark_safe("".join(parts))  # noqa: S308  (numbers, a date and words of this module)


def overall(bars: Sequence[DayBar]) -> float | None:
    """The part of all that was observed in these days."""
    known = [(bar.uptime, bar.observed) for bar in bars if bar.uptime is not None]
    seconds = sum(observed for _, observed in known)
    return sum(uptime * observed for uptime, observed in known) / seconds if seconds else None


def overall_said(bars: Sequence[DayBar]) -> str:
    """The uptime over all days, and of how much when that is not all of them."""
    part = overall(bars)
    observed = sum(bar.observed for bar in bars if bar.uptime is not None)
    return "–" if part is None else of_observed(part, observed, sum(bar.elapsed for bar in bars))


def of_observed(part: float, observed: float, window: float) -> str:
    """`part` of a window; with the time it is true of, unless that is the whole window."""
    return percent(part) if observed >= WHOLE * window else f"{percent(part)} of {spoken(observed)}"


def percent(part: float) -> str:
    """`part` as a person writes it; never rounded up to 100."""
    if part >= 1:
        return "100 %"
    hundredths = int(part * 10000)
    return f"{hundredths / 100:.2f}".rstrip("0").rstrip(".") + " %"
