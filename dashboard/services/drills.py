"""The alert drill: one alert, fired and resolved, through Alertmanager to everybody it would reach."""

import re
import secrets
import time
from datetime import timedelta

import httpx
from django.conf import settings
from django.utils import timezone

from dashboard.models import AlertReceipt
from deployments import alertmanager
from deployments.alertmanager import AlertmanagerUnreachable
from deployments.models import Environment
from deployments.services.access import Actor, require
from deployments.services.drills import Rehearsal, record

NAME = "Drill"
PATIENCE = 120.0
"""Seconds within which people want a mail (the portal's own limit for every channel)."""
_SENT = re.compile(r'alertmanager_notification_requests(_failed)?_total\{integration="([a-z]+)"\} ([0-9.e+]+)')
PORTAL = "portal"


def drill_alerts(*, actor: Actor, environment: Environment, patience: float = PATIENCE) -> Rehearsal:
    """Send an alert of an environment and its end; measure when each integration took it and when the portal heard.

    An integration is mail or Slack as configured in Alertmanager; that it took the message is what Alertmanager knows
    (its requests less those that failed). The webhook is the portal's, which knows by itself. The label `concerns`
    keeps the drill from rolling anything back.
    Raises NotAllowed, AlertmanagerError.
    """
    require(actor, "drill", environment)
    mark = secrets.token_hex(4)
    labels = {
        "alertname": NAME,
        "severity": "critical",
        "environment": environment.name,
        "drill": mark,
        "concerns": "drill",
    }
    measured: dict[str, float] = {}
    problems: list[str] = []
    for status in ("firing", "resolved"):
        now = timezone.now()
        wanted, before = _integrations(), _counters()
        alertmanager.post_alert(
            labels=labels,
            annotations={"summary": f"This is a drill for {environment}, asked for by {actor}."},
            starts_at=now - timedelta(seconds=1),
            ends_at=now + timedelta(hours=1) if status == "firing" else now,
        )
        took, missing = _arrivals(mark, status, wanted, before, patience)
        measured |= {f"{name} {status}": seconds for name, seconds in took.items()}
        problems += missing
    return record(actor, "drill.alerts", measured, problems, environment, drill=mark)


def _arrivals(
    mark: str, status: str, wanted: set[str], before: dict[str, tuple[float, float]], patience: float
) -> tuple[dict[str, float], list[str]]:
    began = time.monotonic()
    took: dict[str, float] = {}
    while set(took) != wanted | {PORTAL} and time.monotonic() - began < patience:
        time.sleep(0.2)
        passed = round(time.monotonic() - began, 1)
        if AlertReceipt.objects.filter(alert__labels__drill=mark, status=status).exists():
            took.setdefault(PORTAL, passed)
        for name, (sent, failed) in _counters().items():
            old_sent, old_failed = before.get(name, (0.0, 0.0))
            if name in wanted and sent - failed > old_sent - old_failed:
                took.setdefault(name, passed)
    late = sorted((wanted | {PORTAL}) - set(took))
    return took, [f"{name} had not taken the {status} alert after {patience:g} s." for name in late]


def _integrations() -> set[str]:
    """What Alertmanager is configured to send with, read from its own configuration."""
    text = alertmanager.configuration()
    names = {"email": "email_configs", "slack": "slack_configs"}
    return {name for name, key in names.items() if f"{key}:" in text}


def _counters() -> dict[str, tuple[float, float]]:
    """Integration → requests made, of them failed, since Alertmanager started."""
    try:
        answer = httpx.get(f"{settings.ALERTMANAGER_URL}/metrics", timeout=5.0)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise AlertmanagerUnreachable(
            f"Alertmanager's metrics at {settings.ALERTMANAGER_URL} cannot be read ({type(error).__name__}).",
            hint="Look whether it runs, and at ALERTMANAGER_URL.",
        ) from error
    counts: dict[str, tuple[float, float]] = {}
    for failed, name, value in _SENT.findall(answer.text):
        sent, lost = counts.get(name, (0.0, 0.0))
        counts[name] = (sent, float(value)) if failed else (float(value), lost)
    return counts
