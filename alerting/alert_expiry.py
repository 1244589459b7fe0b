"""Ends that nobody tells: an alert that ends while it is silenced or inhibited ends without a word.

So Alertmanager is asked what it still holds. It must be the one that delivers here (it holds the dead man's switch) and
run for a while (after a start it knows nothing until Prometheus has told it again).
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from alerting import acknowledgements
from alerting.dead_mans_switch import OWN, SWITCH
from alerting.models import Alert
from deployments.core.alertmanager import alertmanager
from engine.alertmanager import AlertmanagerError

logger = logging.getLogger(__name__)

SETTLED_AFTER = timedelta(minutes=5)
"""For so long an alert must not have been heard of, and Alertmanager must have run."""


def end_unheard(now: datetime | None = None) -> int:
    """End the alerts that Alertmanager no longer holds; returns how many. One that cannot be asked ends nothing."""
    now = now or timezone.now()
    unheard = Alert.objects.filter(status=Alert.Status.FIRING, last_received_at__lte=now - SETTLED_AFTER)
    unheard = unheard.exclude(name__in=[*OWN, SWITCH])
    if not unheard.exists():
        return 0
    try:
        held = alertmanager().alerts()
        if now - alertmanager().running_since() < SETTLED_AFTER or SWITCH not in {one.name for one in held}:
            return 0
    except AlertmanagerError as error:
        logger.debug("nothing to compare with: %s", error.message)
        return 0
    gone = unheard.exclude(fingerprint__in=[one.fingerprint for one in held])
    return sum(_ended(alert, now) for alert in gone)


def _ended(alert: Alert, now: datetime) -> bool:
    with transaction.atomic():
        # a delivery that came just now knows better
        same = Alert.objects.filter(pk=alert.pk, status=Alert.Status.FIRING, last_received_at=alert.last_received_at)
        ended = same.update(status=Alert.Status.RESOLVED, ends_at=now)
        acknowledgements.end_with_their_alerts(alert.fingerprint, now)
    return bool(ended)
