"""What happened around the bots: deployments and alerts of a stretch of time."""

from datetime import datetime

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from alerting.models import Alert
from alerting.selectors import Shown, shown
from dashboard.charts.timeline import Mark, position
from dashboard.models import StatusPage
from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment, Server

_MOST = 60  # marks of each kind; more would be a wall


def marks(server: Server, start: datetime, end: datetime, page: StatusPage, *, members: bool) -> list[Mark]:
    """Between two moments, in order: deployments and alerts of the environment of a server.

    Three queries.
    """
    found: list[Mark] = []
    if members or page.show_deployments:
        found += _deployments(server.environment, start, end, members=members)
    if members or page.show_alerts:
        found += _alerts(server, start, end, members=members)
    return sorted(found, key=lambda mark: mark.at)


def _deployments(environment: Environment, start: datetime, end: datetime, *, members: bool) -> list[Mark]:
    latest = (
        Deployment.objects.filter(environment=environment)
        .select_related("release")
        .only("id", "kind", "status", "started_at", "release__version")
        .order_by("-id")[:_MOST]
    )
    return [
        Mark(
            "rollback" if row.kind == Kind.ROLLBACK else "deployment",
            row.started_at,
            f"{row.aim}: {row.get_status_display().lower()}",
            reverse("deployment", args=[row.pk]) if members else "",
            position(row.started_at, start, end),
        )
        for row in latest
        if row.started_at is not None and start <= row.started_at < end
    ]


def _alerts(server: Server, start: datetime, end: datetime, *, members: bool) -> list[Mark]:
    rows = Alert.objects.filter(
        Q(environment=server.environment_id) | Q(environment=None), starts_at__gte=start, starts_at__lt=end
    ).exclude(severity="none")
    return [
        Mark(
            "alert",
            one.alert.starts_at,
            _words(one, members=members),
            reverse("alert", args=[one.alert.pk]) if members else "",
            position(one.alert.starts_at, start, end),
            one.alert.severity,
        )
        for one in shown(rows[:_MOST], timezone.now())
    ]


def _words(one: Shown, *, members: bool) -> str:
    words = f"{one.alert.name}: {one.alert.summary}" if members else one.alert.name
    if one.held is None:
        return words
    return f"{words} ({one.state} by {one.held.actor})" if members else f"{words} ({one.state})"
