"""One alert after another of the same fingerprint: when the older one ended, and the next one."""

from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Greatest, Least

from alerting.models import Alert

SAME = timedelta(seconds=1)
"""Alertmanager delivers a beginning to the nanosecond, and tells whoever asks to the millisecond."""


def end_older(fingerprint: str, began: datetime) -> None:
    """End what fires and is older than an occurrence that `began` then, whose end nobody told.

    It ended when it was last heard of: of the time between the two nobody knows that it fired.
    """
    older = Alert.objects.filter(fingerprint=fingerprint, status=Alert.Status.FIRING, starts_at__lt=began)
    older.update(status=Alert.Status.RESOLVED, ends_at=Greatest("starts_at", Least(F("last_received_at"), began)))


def repeat(last: Alert, began: datetime, now: datetime) -> Alert:
    """Keep an occurrence that is known by having been asked for: the labels, and so all else, are those of the last."""
    return Alert.objects.create(
        fingerprint=last.fingerprint,
        starts_at=began,
        name=last.name,
        severity=last.severity,
        environment=last.environment,
        server=last.server,
        status=Alert.Status.FIRING,
        labels=last.labels,
        annotations=last.annotations,
        generator_url=last.generator_url,
        received_at=now,
        last_received_at=now,
    )


def told_exactly(fingerprint: str, began: datetime) -> None:
    """Give an occurrence that was kept without a delivery its exact beginning, now that it is delivered."""
    rows = Alert.objects.filter(fingerprint=fingerprint, starts_at__gt=began - SAME, starts_at__lt=began)
    rows.filter(receipts=None).update(starts_at=began)
