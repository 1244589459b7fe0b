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
    """One bot over the readings of a window; times in seconds, memory in bytes.

    `observed` is the time in which it was asked, whether it answered or not, between `first` and `last`. It was read in
    part of that (`lag_read`, `memory_read`), and what happened in `counted` is in its counters, which go on while
    nobody asks. For `unclear` it was in its room at both ends of a minute in which it had reconnected: how much of that
    it was away, nobody knows.
    """

    points: list[Point] = field(default_factory=list)
    observed: float = 0.0
    lag_read: float = 0.0
    memory_read: float = 0.0
    counted: float = 0.0
    up: float = 0.0
    connected: float = 0.0
    unclear: float = 0.0
    first: datetime | None = None
    last: datetime | None = None
    longest: float = 0.0
    restarts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    response: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def response_within(self, share: float) -> float | None:
        """Seconds within which this share of CyTube's answers came; None without an answer."""
        bounds = sorted(self.response, key=float)
        total = self.response[bounds[-1]] if bounds else 0
        return next((float(b) for b in bounds if self.response[b] >= share * total), None) if total else None

    def lag_within(self, share: float) -> float | None:
        """Seconds within which the event loop was, this share of the times it was asked."""
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def figures(points: Sequence[Point], begun: datetime | None = None, ended: datetime | None = None) -> Figures:
    """Everything that can be told from these readings, oldest first, of the time from `begun` to `ended`.

    A longer gap than LISTENED was not observed, nor is what lies before the first reading. A reading after the end
    tells of the time up to it.
    """
    within = [point for point in points if (not begun or begun <= point[0]) and (not ended or point[0] <= ended)]
    found = Figures(points=within)
    found.lags = [float(values["lag"]) for _, values in within if "lag" in values]
    found.memory = [(at.timestamp(), float(values["rss"])) for at, values in within if "rss" in values]
    run = 0.0
    for earlier, later in pairwise(points):
        first, last = max(earlier[0], begun or earlier[0]), min(later[0], ended or later[0])
        if first >= last or (later[0] - earlier[0]).total_seconds() > LISTENED:
            run = 0.0
            continue
        found.first, found.last = found.first or first, last
        run = _add(found, earlier, later, (last - first).total_seconds(), run)
    answers = [point for point in points if point[1]]
    for (at, before), (then, after) in pairwise(answers):
        if ended and at >= ended:
            break
        _count(found, before, after, (then - at).total_seconds(), (min(then, ended or then) - at).total_seconds())
    return found


def _add(found: Figures, earlier: Point, later: Point, seconds: float, run: float) -> float:
    """Add the time between two readings, of which so many seconds are asked about; how long it was connected by then.

    It is connected where both say so and no session began between them, in its first place or in another process.
    """
    (at, before), (then, after) = earlier, later
    found.observed += seconds
    found.lag_read += seconds if "lag" in before and "lag" in after else 0.0
    found.memory_read += seconds if "rss" in before and "rss" in after else 0.0
    if not (before and after) or _began_anew(before, after, (then - at).total_seconds()):
        return 0.0
    found.up += seconds
    if not before.get("connected") == after.get("connected") == 1:
        return 0.0
    if after.get("reconnects", 0) > before.get("reconnects", 0):
        found.unclear += seconds
        return 0.0
    found.connected += seconds
    found.longest = max(found.longest, run + seconds)
    return run + seconds


def _began_anew(before: dict[str, Any], after: dict[str, Any], seconds: float) -> bool:
    """Whether another process answers: one that goes on is older by the time between, half of it at least."""
    return "uptime" in before and "uptime" in after and after["uptime"] < before["uptime"] + seconds / 2


def _count(found: Figures, before: dict[str, Any], after: dict[str, Any], seconds: float, asked: float) -> None:
    """Add what was counted from one answer to the next, of whose time so many seconds are `asked` about; a process that
    began anew counts from zero, and what the one before it counted last is not known. What it counted before it was
    first asked is not of this window.
    """
    anew = _began_anew(before, after, seconds)
    found.restarts += anew
    found.counted += max(0.0, min(asked, after["uptime"]) if anew else asked)
    base = {} if anew else before
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
