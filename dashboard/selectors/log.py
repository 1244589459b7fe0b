"""A deployment's log, in pieces that follow each other by id."""

import re
from dataclasses import dataclass

from deployments.core.visible import visible
from deployments.models import Deployment, LogLine

PIECE = 2000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m|\r$")


@dataclass(frozen=True)
class Line:
    """One line as a page shows it; `server` is empty for the portal's own words."""

    pk: int
    time: str
    server: str
    step: str
    stream: str
    text: str

    def __str__(self) -> str:
        return f"{self.time} {self.server:<10} {self.step:<12} {self.text}"


def lines_after(deployment: Deployment, after: int, limit: int = PIECE) -> list[Line]:
    """Up to `limit` lines with a higher id than `after`, in order. One query."""
    rows = LogLine.objects.filter(deployment=deployment, pk__gt=after).order_by("pk")
    return [_line(row) for row in rows.select_related("target__server")[:limit]]


def last_lines(deployment: Deployment, count: int) -> list[Line]:
    """The latest lines, in order. One query."""
    rows = LogLine.objects.filter(deployment=deployment).order_by("-pk").select_related("target__server")
    return [_line(row) for row in rows[:count]][::-1]


def _line(row: LogLine) -> Line:
    server = row.target.server.name if row.target else ""
    text = visible(_COLOURS.sub("", row.text.replace("\t", "    ")).replace("\n", " "), lines=False)
    return Line(row.pk, row.at.strftime("%H:%M:%S"), server, row.step, row.stream, text)
