"""How much of a window the portal's own record covers: it knows nothing of the time before its first audit event."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from deployments.models import AuditEvent


class Span(TypedDict):
    """The two fields of a row about a window."""

    window: float
    observed: float


@dataclass(frozen=True)
class Record:
    """The record as it is `now`, and since when there is one."""

    now: datetime
    since: datetime | None

    @classmethod
    def read(cls, now: datetime) -> "Record":
        """One query of one row."""
        return cls(now, AuditEvent.objects.order_by("sequence").values_list("at", flat=True).first())

    def span(self, window: timedelta) -> Span:
        """Of a `window` up to now, what is on record."""
        kept = self.now - self.since if self.since else timedelta()
        return Span(window=window.total_seconds(), observed=max(0.0, min(window, kept).total_seconds()))
