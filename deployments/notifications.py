"""Telling people: a message is recorded with the decision it tells of, and sent afterwards with retries."""

from datetime import timedelta
from typing import Any

import apprise
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from deployments.models import AuditEvent, Deployment, NotificationChannel, NotificationDelivery

ATTEMPTS = 6
EVENTS = (
    "approval_wanted",
    "decided",
    "started",
    "succeeded",
    "failed",
    "rolled_back",
    "interrupted",
    "cancelled",
    "break_glass",
)


def announce(deployment: Deployment, event: str, **facts: Any) -> int:
    """Write one waiting delivery per channel that wants `event`; runs in the caller's transaction.

    Links need a login and decide nothing by themselves. Returns how many channels will hear of it.
    """
    title = f"{deployment.environment}: {_words(deployment, event, facts)}"
    last = AuditEvent.objects.first()
    body = "\n".join(
        line
        for line in (
            f"Release {deployment.release}, requested by {deployment.requested_by}.",
            f"Reason: {deployment.reason}" if deployment.reason else "",
            deployment.sentence,
            f"{settings.PORTAL_URL}/deployments/{deployment.pk}/",
            f"Audit head {last.sequence}:{last.hash}" if last else "",
        )
        if line
    )
    channels = NotificationChannel.objects.filter(enabled=True).filter(
        Q(environment=None) | Q(environment=deployment.environment)
    )
    deliveries = [
        NotificationDelivery(
            channel=channel, event=event, subject=f"deployment:{deployment.pk}", title=title[:250], body=body
        )
        for channel in channels
        if not channel.events or event in channel.events
    ]
    NotificationDelivery.objects.bulk_create(deliveries)
    return len(deliveries)


def deliver_waiting() -> int:
    """Send what waits and is due; returns how many were delivered. What fails is tried again, later each time."""
    now = timezone.now()
    due = NotificationDelivery.objects.filter(state=NotificationDelivery.State.WAITING).filter(
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    )
    delivered = 0
    for delivery in due.select_related("channel").order_by("id")[:100]:
        # claimed by moving the next attempt: a second worker finds nothing due
        taken = NotificationDelivery.objects.filter(
            pk=delivery.pk, state=NotificationDelivery.State.WAITING, attempts=delivery.attempts
        ).update(attempts=delivery.attempts + 1, next_attempt_at=now + _pause(delivery.attempts))
        if taken:
            delivered += _send(delivery)
    return delivered


def _send(delivery: NotificationDelivery) -> bool:
    sender = apprise.Apprise()
    if not sender.add(str(delivery.channel.url)):
        error = "The channel's URL is not one that Apprise understands."
    elif sender.notify(title=delivery.title, body=delivery.body):
        NotificationDelivery.objects.filter(pk=delivery.pk).update(
            state=NotificationDelivery.State.DELIVERED, delivered_at=timezone.now(), error=""
        )
        return True
    else:
        error = "The service did not accept the message."
    last = delivery.attempts + 1 >= ATTEMPTS
    NotificationDelivery.objects.filter(pk=delivery.pk).update(
        error=error, state=NotificationDelivery.State.FAILED if last else NotificationDelivery.State.WAITING
    )
    return False


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=min(30 * 2**attempts, 3600))


def _words(deployment: Deployment, event: str, facts: dict[str, Any]) -> str:
    number = f"deployment {deployment.pk}"
    if event == "approval_wanted":
        return f"{number} wants an approval"
    if event == "decided":
        return f"{number} was {'approved' if facts['approved'] else 'rejected'} by {facts['by']}"
    if event == "break_glass":
        return f"BREAK-GLASS used by {deployment.requested_by} for {number}"
    return f"{number} {event.replace('_', ' ')}"
