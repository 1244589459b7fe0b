"""What a series of readings amounts to. Pure: readings in, figures out.

The slope of memory is that of least squares, its interval 1.96 standard errors to both sides. Percentiles of the
response time come from the bot's histogram: the upper bound of the bucket they fall into.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import sqrt
from typing import Any

from dashboard.intervals import LISTENED

Point = tuple[datetime, dict[str, Any]]
_COUNTED = ("requests", "errors", "reconnects")


@dataclass
class Figures:
    """One bot over the readings of a window; times in seconds, memory in bytes."""

    points: list[Point] = field(default_factory=list)
    observed: float = 0.0
    up: float = 0.0
    connected: float = 0.0
    longest: float = 0.0
    restarts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    response: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    @property
    def absent(self) -> float:
        """Time in which it was looked at and not in its room."""
        return self.observed - self.connected

    @property
    def down(self) -> float:
        """Time in which it was asked and did not answer."""
        return self.observed - self.up

    def response_within(self, share: float) -> float | None:
        """Seconds within which this share of CyTube's answers came; None without an answer."""
        bounds = sorted(self.response, key=float)
        total = self.response[bounds[-1]] if bounds else 0
        return next((float(b) for b in bounds if self.response[b] >= share * total), None) if total else None

    def lag_within(self, share: float) -> float | None:
        """Seconds within which the event loop was, this share of the times it was asked."""
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def figures(points: Sequence[Point]) -> Figures:
    """Everything that can be told from these readings, oldest first. A longer gap than LISTENED was not observed."""
    found = Figures(points=list(points))
    run = 0.0
    for at, values in points:
        if values:
            if "lag" in values:
                found.lags.append(float(values["lag"]))
            if "rss" in values:
                found.memory.append((at.timestamp(), float(values["rss"])))
    for (at, before), (then, after) in pairwise(points):
        seconds = (then - at).total_seconds()
        _count(found, before, after)
        if not 0 < seconds <= LISTENED:
            run = 0.0
            continue
        found.observed += seconds
        same = bool(before and after) and after.get("uptime", 0.0) >= before.get("uptime", 0.0)
        found.up += seconds if same else 0.0
        inside = same and before.get("connected") == 1 and after.get("connected") == 1
        run = run + seconds if inside else 0.0
        found.connected += seconds if inside else 0.0
        found.longest = max(found.longest, run)
    return found


def _count(found: Figures, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Add what was counted from one reading to the next; a process that began anew counts from zero."""
    if not after:
        return
    anew = bool(before) and after.get("uptime", 0.0) < before.get("uptime", 0.0)
    found.restarts += anew
    base = {} if anew else before
    if not before and not anew:
        return  # what it counted before it was first asked is not of this window
    for name in _COUNTED:
        found.counts[name] += int(after.get(name, 0) - base.get(name, 0))
    for name, into in (("events", found.events), ("commands", found.commands), ("response", found.response)):
        for kind, value in after.get(name, {}).items():
            into[kind] += int(value - base.get(name, {}).get(kind, 0))


@dataclass(frozen=True)
class Slope:
    """Bytes per second, with the interval in which it is for 95 of 100 such series."""

    value: float
    low: float
    high: float


def slope(points: Iterable[tuple[float, float]]) -> Slope | None:
    """The least-squares slope; None for fewer than three points."""
    data = list(points)
    if len(data) < 3:
        return None
    mean_x, mean_y = sum(x for x, _ in data) / len(data), sum(y for _, y in data) / len(data)
    spread = sum((x - mean_x) ** 2 for x, _ in data)
    if not spread:
        return None
    value = sum((x - mean_x) * (y - mean_y) for x, y in data) / spread
    left = sum((y - mean_y - value * (x - mean_x)) ** 2 for x, y in data)
    error = 1.96 * sqrt(left / (len(data) - 2) / spread)
    return Slope(value, value - error, value + error)
