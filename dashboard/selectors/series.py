"""One bot's people, errors and response time over a range, with what happened meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from dashboard.charts.line import Line, columns, limit_within, line
from dashboard.charts.slots import slots
from dashboard.intervals import (
    BEAT,
    DAY,
    DAY_BARS,
    HOUR,
    MINUTE,
    PROMISED_ERROR_RATE,
    PROMISED_RESPONSE_MS,
    beginning,
)
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
    """One of the charts, with what a glance should find in words.

    `limit` is the path of what was promised, where the scale shows it; `slots` says each stretch under the pointer.
    """

    key: str
    title: str
    unit: str
    drawing: Line
    summary: str
    limit: str = ""
    slots: SafeString | str = ""

    @property
    def top(self) -> str:
        """The value at the upper edge."""
        return f"{self.drawing.top:g}{self.unit}"

    @property
    def middle(self) -> str:
        """The value half way up; none where what is counted has no half."""
        half = self.drawing.top / 2
        return f"{half:g}{self.unit}" if self.unit or half == int(half) else ""


@dataclass(frozen=True)
class Row:
    """A row of the table behind the charts."""

    at: datetime
    label: str
    sums: Sums

    @property
    def said(self) -> tuple[str, str, str]:
        """Users, errors and response time, in words."""
        if not self.sums.beats:
            return (f"{self.label}: nothing heard",) * 3
        sums = self.sums
        users = f"{sums.users or 0:.1f} on average, {sums.users_max} at most"
        response = "not measured"
        if sums.response is not None:
            response = f"{sums.response:.1f} ms on average, {sums.response_max:.1f} ms at most"
        failed = f"{sums.errors} of {sums.requests} requests"
        return f"{self.label}: {users}", f"{self.label}: {failed}", f"{self.label}: {response}"


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
    rows = _rows(points, wanted, start)
    return Series(
        wanted,
        start,
        end,
        _charts(points, rows, people=people),
        rows,
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


def _charts(points: Sequence[Sums], rows: Sequence[Row], *, people: bool) -> list[Chart]:
    total = _total(points)
    digits = 0 if (total.users or 0) >= 10 else 1
    counted = (
        "Nobody was heard from."
        if total.users is None
        else f"{total.users:.{digits}f} on average, {total.users_max} at most"
    )
    failed = f"{total.errors} of {total.requests} requests; limit {PROMISED_ERROR_RATE:.0%}".replace("%", " %")
    response = (
        "not measured"
        if total.response is None
        else f"{total.response:.0f} ms on average, {total.response_max:.0f} ms at most; "
        f"limit {PROMISED_RESPONSE_MS:.0f} ms"
    )
    said = [slots(texts) for texts in zip(*(row.said for row in rows), strict=True)]
    in_room = line([point.users for point in points], least=1)
    errors, times = columns([point.failed for point in points]), line([point.response for point in points])
    allowed = limit_within([PROMISED_ERROR_RATE * one.requests if one.beats else None for one in points], errors.top)
    within = limit_within([PROMISED_RESPONSE_MS] * len(points), times.top)
    requests = people or bool(total.requests)
    return [
        *([Chart("users", "Users in the room, with the bot", "", in_room, counted, "", said[0])] if people else []),
        *([Chart("errors", "Errors", "", errors, failed, allowed, said[1])] if requests else []),
        Chart("response", "Response time", " ms", times, response, within, said[2]),
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
