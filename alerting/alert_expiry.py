"""Ends and beginnings that nobody tells: an alert that ends while it is silenced or inhibited ends without a word, and
one whose end was lost in a restart begins again without one: Alertmanager remembers that it has told of it.

So Alertmanager is asked what it still holds. It must be the one that delivers here (it holds the dead man's switch) and
run for a while (after a start it knows nothing until Prometheus has told it again).
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone

from alerting import acknowledgements, occurrences
from alerting.dead_mans_switch import OWN, SWITCH
from alerting.models import Alert
from deployments.core.alertmanager import alertmanager
from deployments.core.texts import spoken
from engine.alertmanager import ActiveAlert, AlertmanagerError

logger = logging.getLogger(__name__)

SETTLED_AFTER = timedelta(minutes=5)
"""For so long an alert must not have been heard of, and Alertmanager must have run."""
CANNOT_ASK = (
    "Whether it still fires the portal cannot ask: ALERTMANAGER_URL is not set. Set it to the address of your "
    "Alertmanager and start the portal again; what has ended is then said to have, within minutes."
)


def end_unheard(now: datetime | None = None) -> int:
    """End the alerts that Alertmanager no longer holds, and keep those that it holds anew; returns how many it ended.

    One that cannot be asked ends nothing.
    """
    now = now or timezone.now()
    try:
        held = alertmanager().alerts()
        if now - alertmanager().running_since() < SETTLED_AFTER or SWITCH not in {one.name for one in held}:
            return 0
    except AlertmanagerError as error:
        logger.debug("nothing to compare with: %s", error.message)
        return 0
    _begin_again(held, now)
    gone = _unheard(now).exclude(fingerprint__in=[one.fingerprint for one in held])
    return sum(_ended(alert, now) for alert in gone)


def unended(now: datetime) -> QuerySet[Alert]:
    """What fires by its last word, which is a while ago, where nobody can be asked: without ALERTMANAGER_URL."""
    return Alert.objects.none() if settings.ALERTMANAGER_URL else _unheard(now)


def why_unended(alert: Alert, now: datetime) -> str:
    """What has to be known of an alert that may have ended long ago, and what to set; "" of any other."""
    if not unended(now).filter(pk=alert.pk).exists():
        return ""
    heard = spoken((now - alert.last_received_at).total_seconds())
    return f"Last heard of {heard} ago, and not said to be over by anyone since. {CANNOT_ASK}"


def _unheard(now: datetime) -> QuerySet[Alert]:
    late = Alert.objects.filter(status=Alert.Status.FIRING, last_received_at__lte=now - SETTLED_AFTER)
    return late.exclude(name__in=[*OWN, SWITCH])


def _begin_again(held: Sequence[ActiveAlert], now: datetime) -> None:
    """Keep an occurrence of its own for what is known, fires anew, and was not delivered for so long."""
    loud = [one for one in held if one.state == "active" and one.name != SWITCH]
    due = {one.fingerprint: one.starts_at for one in loud if one.starts_at <= now - SETTLED_AFTER}
    known = Alert.objects.filter(fingerprint__in=due).order_by().values("fingerprint").annotate(newest=Max("starts_at"))
    for row in known:
        began = due[row["fingerprint"]]
        if began - row["newest"] > occurrences.SAME:
            with transaction.atomic():
                last = Alert.objects.get(fingerprint=row["fingerprint"], starts_at=row["newest"])
                occurrences.end_older(last.fingerprint, began)
                acknowledgements.end_with_their_alerts(last.fingerprint, now)
                occurrences.repeat(last, began, now)


def _ended(alert: Alert, now: datetime) -> bool:
    with transaction.atomic():
        # a delivery that came just now knows better
        same = Alert.objects.filter(pk=alert.pk, status=Alert.Status.FIRING, last_received_at=alert.last_received_at)
        ended = same.update(status=Alert.Status.RESOLVED, ends_at=now)
        acknowledgements.end_with_their_alerts(alert.fingerprint, now)
    return bool(ended)
