"""How much of a window the portal's own record covers: it knows nothing of the time before its first audit event."""

from datetime import datetime, timedelta
from typing import TypedDict

from deployments.models import AuditEvent


class Span(TypedDict):
    """The two fields of a row about a window."""

    window: float
    observed: float


def span(window: timedelta, now: datetime) -> Span:
    """Of a `window` up to `now`, what is on record. One query of one row."""
    first = AuditEvent.objects.order_by("sequence").values_list("at", flat=True).first()
    kept = now - first if first else timedelta()
    return Span(window=window.total_seconds(), observed=max(0.0, min(window, kept).total_seconds()))
