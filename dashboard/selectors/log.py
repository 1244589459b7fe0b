"""A deployment's log, in pieces that follow each other by id."""

import re
from dataclasses import dataclass
from datetime import datetime

from deployments.core.hidden_characters import visible
from deployments.models import Deployment, LogLine

PIECE = 2000
_COLUMNS = ("pk", "at", "target__server__name", "step", "stream", "text")
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

    @property
    def stamp(self) -> str:
        """When, where and in which step, in columns."""
        return f"{self.time} {self.server:<10} {self.step:<12}"

    def __str__(self) -> str:
        return f"{self.stamp} {self.text}"


def lines_after(deployment: Deployment, after: int, limit: int = PIECE) -> list[Line]:
    """Up to `limit` lines with a higher id than `after`, in order. One query."""
    rows = LogLine.objects.filter(deployment=deployment, pk__gt=after).order_by("pk")
    return [_line(*row) for row in rows.values_list(*_COLUMNS)[:limit]]


def last_lines(deployment: Deployment, count: int) -> list[Line]:
    """The latest lines, in order. One query."""
    rows = LogLine.objects.filter(deployment=deployment).order_by("-pk")
    return [_line(*row) for row in rows.values_list(*_COLUMNS)[:count]][::-1]


def _line(pk: int, at: datetime, server: str | None, step: str, stream: str, text: str) -> Line:
    shown = visible(_COLOURS.sub("", text.replace("\t", "    ")).replace("\n", " "), lines=False)
    return Line(pk, f"{at:%H:%M:%S}", server or "", step, stream, shown)
