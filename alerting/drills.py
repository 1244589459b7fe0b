"""The alert drill: one alert, fired and resolved, through Alertmanager to everybody it would reach."""

import secrets
import time
from datetime import timedelta

from django.utils import timezone

from alerting import dead_mans_switch, receipts
from alerting.models import AlertReceipt
from alerting.receipts import PORTAL
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.core.alertmanager import alertmanager
from deployments.drills.drills import Rehearsal, record
from deployments.models import Environment
from engine.alertmanager import AlertmanagerError, Taken

NAME = "Drill"
TIMEOUT = 120.0
"""Seconds within which people want a mail (the portal's own limit for every channel)."""


def drill_alerts(*, actor: Actor, environment: Environment, timeout: float = TIMEOUT) -> Rehearsal:
    """Send an alert of an environment and its end; measure when each integration took it and when the portal heard.

    An integration is mail or Slack as configured in Alertmanager; that it took the message is what Alertmanager knows
    (its requests less those that failed). The webhook is the portal's, which knows by itself. The label `concerns`
    keeps the drill from rolling anything back.
    Raises NotAllowed, AlertmanagerError.
    """
    require(actor, Verb.DRILL, environment)
    mark = secrets.token_hex(4)
    labels = {
        "alertname": NAME,
        "severity": "critical",
        "environment": str(environment),
        "drill": mark,
        "concerns": "drill",
    }
    measured: dict[str, float] = {}
    problems: list[str] = []
    receipts.read()
    for status in ("firing", "resolved"):
        now = timezone.now()
        wanted, before = alertmanager().integrations(), alertmanager().taken()
        alertmanager().post_alert(
            labels=labels,
            annotations={"summary": f"This is a drill for {environment}, asked for by {actor}."},
            starts_at=now - timedelta(seconds=1),
            ends_at=now + timedelta(hours=1) if status == "firing" else now,
        )
        took, missing = _arrivals(mark, status, wanted, before, timeout)
        measured |= {f"{name} {status}": seconds for name, seconds in took.items()}
        problems += missing
        receipts.read()
    return record(actor, "drill.alerts", measured, problems, environment, drill=mark)


def hold_scheduled(*, actor: Actor, timeout: float = TIMEOUT) -> Rehearsal | None:
    """The drill that nobody has to think of; None where no monitoring was ever heard. The channels are the same for all
    environments, so it is held for the one that matters least. An Alertmanager that is away is a failed drill."""
    environment = Environment.objects.order_by("order", "name").first()
    if environment is None or dead_mans_switch.state(timezone.now()) is dead_mans_switch.SwitchState.NEVER:
        return None
    try:
        return drill_alerts(actor=actor, environment=environment, timeout=timeout)
    except AlertmanagerError as error:
        return record(actor, "drill.alerts", {}, [str(error)], environment)


def _arrivals(
    mark: str, status: str, wanted: set[str], before: dict[str, Taken], timeout: float
) -> tuple[dict[str, float], list[str]]:
    began = time.monotonic()
    took: dict[str, float] = {}
    while set(took) != wanted | {PORTAL} and time.monotonic() - began < timeout:
        time.sleep(0.2)
        passed = round(time.monotonic() - began, 1)
        if AlertReceipt.objects.filter(channel=PORTAL, alert__labels__drill=mark, status=status).exists():
            took.setdefault(PORTAL, passed)
        for name, now in alertmanager().taken().items():
            if name in wanted and now.messages > before.get(name, Taken()).messages:
                took.setdefault(name, passed)
    late = sorted((wanted | {PORTAL}) - set(took))
    return took, [f"{name} had not taken the {status} alert after {timeout:g} s." for name in late]
