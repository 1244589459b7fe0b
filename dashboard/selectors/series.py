"""One bot's people, errors and response time over a range, with what happened meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dashboard.charts.line import Line, columns, line
from dashboard.intervals import BEAT, DAY, DAY_BARS, HOUR, MINUTE, beginning
from dashboard.models import Sample
from deployments.models import Server


@dataclass(frozen=True)
class Range:
    """A length of time with the samples that draw it, and how many of them make a row of the table."""

    key: str
    label: str
    seconds: int
    resolution: int
    per_row: int
    time_format: str

    @property
    def past(self) -> str:
        """After "last": hour, 24 hours, 7 days."""
        return self.label.removeprefix("1 ")

    @property
    def stretches(self) -> int:
        """How many samples wide a chart is."""
        return self.seconds // self.resolution


RANGES = {
    item.key: item
    for item in (
        Range("1h", "1 hour", HOUR, BEAT, 30, "%H:%M"),
        Range("24h", "24 hours", DAY, 10 * MINUTE, 6, "%H:%M"),
        Range("7d", "7 days", 7 * DAY, HOUR, 12, "%-d %b %H:%M"),
        Range("90d", "90 days", DAY_BARS * DAY, DAY, 7, "%-d %b"),
    )
}
USUAL, YOUNG = RANGES["24h"], RANGES["1h"]
_PROBED = replace(YOUNG, resolution=MINUTE, per_row=5)
"""The same hour of a service that is asked once a minute."""
_YOUNG_SECONDS = 3 * HOUR  # a bot this young would be a hairline in a day
_FIELDS = (
    "at",
    "beats",
    "connected_seconds",
    "users_sum",
    "users_max",
    "requests",
    "errors",
    "response_sum",
    "response_beats",
    "response_max",
)


def range_for(key: str, first_heard_at: datetime | None, now: datetime) -> Range:
    """The range asked for, else a day; an hour for a bot that has hardly begun."""
    young = first_heard_at is not None and (now - first_heard_at).total_seconds() < _YOUNG_SECONDS
    return RANGES.get(key, YOUNG if young else USUAL)


@dataclass
class Sums:
    """Several samples added up."""

    beats: int = 0
    connected_seconds: float = 0.0
    users_sum: int = 0
    users_max: int = 0
    requests: int = 0
    errors: int = 0
    response_sum: float = 0.0
    response_beats: int = 0
    response_max: float = 0.0

    def add(self, other: "Sums") -> None:
        """Take `other` in."""
        for name in _FIELDS[1:]:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name.endswith("_max") else mine + theirs)

    @property
    def users(self) -> float | None:
        """Mean number of people; None when nothing was heard."""
        return self.users_sum / self.beats if self.beats else None

    @property
    def failed(self) -> float | None:
        """Errors; None when nothing was heard."""
        return self.errors if self.beats else None

    @property
    def response(self) -> float | None:
        """Mean response time in milliseconds."""
        return self.response_sum / self.response_beats if self.response_beats else None


@dataclass(frozen=True)
class Chart:
    """One of the charts, with what a glance should find in words."""

    key: str
    title: str
    unit: str
    drawing: Line
    summary: str

    @property
    def top(self) -> str:
        """The value at the upper edge."""
        return f"{self.drawing.top:g}{self.unit}"


@dataclass(frozen=True)
class Row:
    """A row of the table behind the charts."""

    at: datetime
    label: str
    sums: Sums


@dataclass(frozen=True)
class Series:
    """Everything one range of one bot shows."""

    range: Range
    start: datetime
    end: datetime
    charts: list[Chart]
    rows: list[Row]
    ticks: list[str]
    heard: bool
    people: bool = True
    """Whether it counts any: a service without a room does not."""


def series(server: Server, wanted: Range, now: datetime) -> Series:
    """Charts and table of `server` for the range that ends now. One query."""
    if wanted == YOUNG and server.service == Server.Service.ASKED:
        wanted = _PROBED
    end = beginning(now, wanted.resolution) + timedelta(seconds=wanted.resolution)
    start = end - timedelta(seconds=wanted.seconds)
    points = _points(server, wanted, start, end)
    people = server.service == Server.Service.BOT
    return Series(
        wanted,
        start,
        end,
        _charts(points, people=people),
        _rows(points, wanted, start),
        _ticks(wanted, start),
        any(p.beats for p in points),
        people,
    )


def _points(server: Server, wanted: Range, start: datetime, end: datetime) -> list[Sums]:
    points = [Sums() for _ in range(wanted.stretches)]
    samples = Sample.objects.filter(server=server, resolution=wanted.resolution, at__gte=start, at__lt=end)
    for at, *values in samples.order_by().values_list(*_FIELDS):
        points[int((at - start).total_seconds()) // wanted.resolution] = Sums(*values)
    return points


def _charts(points: Sequence[Sums], *, people: bool) -> list[Chart]:
    total = _total(points)
    digits = 0 if (total.users or 0) >= 10 else 1
    counted = (
        "Nobody was heard from."
        if total.users is None
        else f"{total.users:.{digits}f} on average, {total.users_max} at most"
    )
    failed = f"{total.errors} of {total.requests} requests"
    response = (
        "not measured"
        if total.response is None
        else f"{total.response:.0f} ms on average, {total.response_max:.0f} ms at most"
    )
    in_room = line([point.users for point in points], least=1)
    requests = people or bool(total.requests)
    return [
        *([Chart("users", "In the room, with the bot", "", in_room, counted)] if people else []),
        *([Chart("errors", "Errors", "", columns([point.failed for point in points]), failed)] if requests else []),
        Chart("response", "Response time", " ms", line([point.response for point in points]), response),
    ]


def _rows(points: Sequence[Sums], wanted: Range, start: datetime) -> list[Row]:
    rows = []
    for first in range(0, len(points), wanted.per_row):
        at = start + timedelta(seconds=first * wanted.resolution)
        rows.append(Row(at, at.strftime(wanted.time_format), _total(points[first : first + wanted.per_row])))
    return rows


def _ticks(wanted: Range, start: datetime) -> list[str]:
    quarters = [start + timedelta(seconds=wanted.seconds * i / 4) for i in range(4)]
    return [at.strftime(wanted.time_format) for at in quarters] + ["now"]


def _total(points: Sequence[Sums]) -> Sums:
    total = Sums()
    for point in points:
        total.add(point)
    return total
