"""The dead man's switch: an alert that fires always, whose absence says that nobody watches any more.

Prometheus sends it, Alertmanager delivers it every minute, the portal remembers when. `watch` runs every minute in a
worker: it raises an alert of the portal's own when the switch has gone quiet, ends it when it is heard again, and tells
people both. While all is well it asks `PORTAL_PING_URL`, when there is one: whoever listens there (healthchecks and the
like) notices when the whole machine is gone, because then nobody asks.
"""

import logging
from datetime import datetime, timedelta
from enum import Enum

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from alerting import acknowledgements
from alerting.models import Alert
from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.notifications import messages
from engine import http_client

logger = logging.getLogger(__name__)

SWITCH = "DeadMansSwitch"
SILENT = "MonitoringSilent"
OWN = (SILENT,)
"""Alerts that the portal raises and ends by itself; Alertmanager knows nothing of them."""
SILENT_AFTER = timedelta(minutes=5)
"""Delivered every minute: five in a row are missing."""
PING_SECONDS = 10.0
_FINGERPRINT = "portalmonitoringsilent"
_SENTENCE = (
    "Prometheus and Alertmanager have gone quiet: nobody would be told if a bot went down. "
    "Look whether both run, and whether they reach the portal."
)


class SwitchState(Enum):
    """What is known of those who watch."""

    NEVER = "never"
    HEARD = "heard"
    SILENT = "silent"


def last_heard() -> datetime | None:
    """When the switch was last delivered; None when it never was."""
    row = Alert.objects.filter(name=SWITCH).order_by("-last_received_at").first()
    return row.last_received_at if row else None


def state(now: datetime) -> SwitchState:
    """Whether somebody watches. An end of the switch that was told is silence at once."""
    row = Alert.objects.filter(name=SWITCH).order_by("-last_received_at").first()
    if row is None:
        return SwitchState.NEVER
    fresh = row.status == Alert.Status.FIRING and now - row.last_received_at <= SILENT_AFTER
    return SwitchState.HEARD if fresh else SwitchState.SILENT


def unwatched(now: datetime, *, heard: bool = False) -> str:
    """Why nobody knows whether something fires, in a few words; "" while monitoring is heard.

    `heard` is whether the caller has just seen an alert, which need not be looked for again.
    """
    found = state(now)
    if found is SwitchState.SILENT:
        return "Monitoring has gone quiet"
    if found is SwitchState.HEARD or heard or Alert.objects.exists():
        return ""
    return "Monitoring has not been heard yet" if settings.ALERTMANAGER_URL else "Monitoring is not configured"


def watch(now: datetime | None = None, *, looking_since: datetime | None = None) -> SwitchState:
    """Look, tell of a change once, and ask the outbound URL while somebody watches.

    `looking_since` is when the portal began to look: a portal that was off, or comes from a backup, heard nothing
    before that, whoever spoke.
    """
    now = now or timezone.now()
    found = state(now)
    if found is SwitchState.SILENT and (looking_since is None or now - looking_since > SILENT_AFTER):
        _began(now)
    elif found is SwitchState.HEARD:
        _ended(now)
        _ping()
    return found


def _began(now: datetime) -> None:
    with transaction.atomic():
        if Alert.objects.filter(fingerprint=_FINGERPRINT, status=Alert.Status.FIRING).exists():
            return
        _, made = Alert.objects.get_or_create(
            fingerprint=_FINGERPRINT,
            starts_at=last_heard() or now,
            defaults={
                "name": SILENT,
                "severity": "critical",
                "status": Alert.Status.FIRING,
                "labels": {"alertname": SILENT, "severity": "critical"},
                "annotations": {"summary": _SENTENCE, "runbook": "docs/runbook.md#monitoringsilent"},
            },
        )
        if made:
            trail.record(actor=system_actor("watch"), name="monitoring.silent", subject="monitoring")
            messages.notify_everyone("monitoring", what="monitoring is silent", lines=[_SENTENCE])


def _ended(now: datetime) -> None:
    with transaction.atomic():
        silent = Alert.objects.filter(fingerprint=_FINGERPRINT, status=Alert.Status.FIRING)
        if silent.update(status=Alert.Status.RESOLVED, ends_at=now, last_received_at=now):
            acknowledgements.end_with_their_alerts(_FINGERPRINT, now)
            trail.record(actor=system_actor("watch"), name="monitoring.heard", subject="monitoring")
            messages.notify_everyone("monitoring", what="monitoring is heard again", lines=[])


def _ping() -> None:
    if not settings.PING_URL:
        return
    try:
        answer = http_client.ask("POST", str(settings.PING_URL), timeout=PING_SECONDS, proxied=True)
    except http_client.Unanswered as error:
        logger.warning("PORTAL_PING_URL did not take a ping: %s", error)
    else:
        if not answer.is_success:
            logger.warning("PORTAL_PING_URL did not take a ping: it answered %d", answer.status_code)
