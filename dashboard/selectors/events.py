"""What happened around the bots: deployments and alerts of a stretch of time, and what is firing now."""

from datetime import datetime

from django.db.models import Q
from django.urls import reverse

from dashboard.charts.timeline import Mark, position
from dashboard.models import Alert, StatusPage
from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment

_MOST = 60  # marks of each kind; more would be a wall


def marks(environment: Environment, start: datetime, end: datetime, page: StatusPage, *, members: bool) -> list[Mark]:
    """Deployments and alerts of an environment between two moments, in order. Two queries."""
    found: list[Mark] = []
    if members or page.show_deployments:
        found += _deployments(environment, start, end, members=members)
    if members or page.show_alerts:
        found += _alerts(environment, start, end, members=members)
    return sorted(found, key=lambda mark: mark.at)


def firing() -> list[Alert]:
    """Alerts that fire now, the worst first."""
    # The dead man's switch fires always; it has the severity "none".
    alerts = Alert.objects.filter(status=Alert.Status.FIRING).exclude(severity="none")
    alerts = alerts.select_related("environment", "server")[:_MOST]
    order = {"critical": 0, "warning": 1}
    return sorted(alerts, key=lambda alert: (order.get(alert.severity, 2), alert.starts_at))


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
            f"{row.get_kind_display()} of {row.release.version}: {row.get_status_display().lower()}",
            reverse("deployment", args=[row.pk]) if members else "",
            position(row.started_at, start, end),
        )
        for row in latest
        if row.started_at is not None and start <= row.started_at < end
    ]


def _alerts(environment: Environment, start: datetime, end: datetime, *, members: bool) -> list[Mark]:
    rows = Alert.objects.filter(
        Q(environment=environment) | Q(environment=None), starts_at__gte=start, starts_at__lt=end
    )
    return [
        Mark(
            "alert",
            row.starts_at,
            f"{row.name}: {row.summary}" if members else row.name,
            "",
            position(row.starts_at, start, end),
        )
        for row in rows[:_MOST]
    ]
