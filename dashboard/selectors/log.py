"""A deployment's log, in pieces that follow each other by id."""

import re
from typing import NamedTuple

from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast

from deployments.core.hidden_characters import visible
from deployments.models import Deployment, LogLine

PIECE = 2000
_COLUMNS = ("pk", "written", "target__server__name", "step", "stream", "text")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m|\r$")


class Line(NamedTuple):
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
    rows = _rows(deployment).filter(pk__gt=after).order_by("pk")
    return [_line(*row) for row in rows.values_list(*_COLUMNS)[:limit]]


def last_lines(deployment: Deployment, count: int) -> list[Line]:
    """The latest lines, in order. One query."""
    rows = _rows(deployment).order_by("-pk")
    return [_line(*row) for row in rows.values_list(*_COLUMNS)[:count]][::-1]


def _rows(deployment: Deployment) -> QuerySet[LogLine]:
    """Its lines, with the time as the database writes it (both write 2026-05-04 12:00:01.5, of UTC): a log is long."""
    return LogLine.objects.filter(deployment=deployment).annotate(written=Cast("at", CharField()))


def _line(pk: int, written: str, server: str | None, step: str, stream: str, text: str) -> Line:
    plain = text.isascii() and text.isprintable()
    shown = text if plain else visible(_COLOURS.sub("", text.replace("\t", "    ")).replace("\n", " "), lines=False)
    return Line(pk, written[11:19], server or "", step, stream, shown)
