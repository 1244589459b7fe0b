"""Which incidents there are: those that are open, those that ended lately, and one with all that was said."""

from datetime import datetime, timedelta

from django.db.models import OuterRef, QuerySet, Subquery

from alerting.models import Incident, IncidentUpdate

HISTORY = timedelta(days=30)
"""How long the status page shows what is over."""
MOST = 50
PER_PAGE = 20


def incidents(*, members: bool) -> QuerySet[Incident]:
    """With what they affect; strangers see those that are public."""
    rows = Incident.objects.prefetch_related("environments", "servers")
    return rows if members else rows.filter(public=True)


def open_incidents(*, members: bool) -> list[Incident]:
    """Those that are not resolved, the worst first, each with what was said last as `latest`. Three queries at most."""
    said = IncidentUpdate.objects.filter(incident=OuterRef("pk")).order_by("-id").values("text")
    rows = incidents(members=members).filter(resolved_at=None).annotate(latest=Subquery(said[:1]))
    order = Incident.Severity.values
    return sorted(rows[:MOST], key=lambda row: -order.index(row.severity))


def ended_lately(now: datetime, *, members: bool) -> list[Incident]:
    """Those that ended within `HISTORY`, the last first. Three queries at most."""
    rows = incidents(members=members).filter(resolved_at__gte=now - HISTORY)
    return list(rows.order_by("-resolved_at")[:MOST])


def numbered(number: int, *, members: bool) -> Incident | None:
    """One, if this visitor may see it."""
    return incidents(members=members).select_related("alert").filter(pk=number).first()


def public_updates() -> list[IncidentUpdate]:
    """The newest of what everybody may read, for feeds. One query."""
    rows = IncidentUpdate.objects.filter(incident__public=True).select_related("incident")
    return list(rows.order_by("-id")[:MOST])
