"""Telling people: a message is recorded with the decision it tells of, and sent soon afterwards, with retries."""

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import apprise
from django.conf import settings
from django.db.models import Count, F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from deployments.core import queueing
from deployments.core.hidden_characters import visible_lines
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, NotificationChannel, NotificationDelivery
from deployments.notifications import subscribers

ATTEMPTS = 78
"""Later each time, hourly from the eighth on: three days and an hour in all."""
TEST_ATTEMPTS = 6
"""Whoever asked for a test message waits a quarter of an hour."""
GO = 100
"""Messages that one task sends."""
MAILS = 10
"""Of them to subscribers: what is written to the team meanwhile waits for no more."""
SUBSCRIBER_ATTEMPTS = 12
"""Six hours and a half: an incident is over, and an address that never was one is forgotten."""
EVENTS: dict[str, str] = {
    "approval_wanted": "A deployment waits for approval",
    "decided": "A request was approved or rejected",
    "withdrawn": "A request expired, was superseded, or its seal broke",
    "started": "A deployment began",
    "succeeded": "A deployment or rollback succeeded",
    "failed": "A deployment failed",
    "rolled_back": "A deployment failed and was reverted",
    "interrupted": "A deployment needs a person",
    "cancelled": "A deployment was cancelled",
    "break_glass": "Break-glass was used, or reviewed",
    "policy": "An approval policy is to change, or has",
    "locked": "An environment was locked or unlocked",
    "maintenance": "Maintenance was planned, began or ended",
    "monitoring": "Prometheus or Alertmanager went quiet, or is heard again",
    "drill": "A drill that the portal holds by itself failed",
    "unattended": "An alert fires on after somebody's acknowledgement ran out",
    "incident": "An incident was opened, updated or resolved",
    "people": "An account was recovered, or somebody vouched for its owner",
    "drift": "A server differs from its record, or no longer does",
}
"""What a channel can be told of, with the words its form shows."""
GROUPS: dict[str, tuple[str, ...]] = {
    "Approvals": ("approval_wanted", "decided", "withdrawn", "break_glass", "policy"),
    "Deployments": ("started", "succeeded", "failed", "rolled_back", "interrupted", "cancelled"),
    "Alerts and incidents": ("monitoring", "unattended", "incident", "drill"),
    "Environments, servers, accounts": ("locked", "maintenance", "drift", "people"),
}
"""The same, as a form groups them."""
TEST = "test"
_TEST_TITLE = "Test message of the ops portal"
_MARKS = {"failed": "✗ ", "rolled_back": "↩ ", "interrupted": "⚠ ", "break_glass": "⚠ ", "succeeded": "✓ "}


def notify(deployment: Deployment, event: str, **facts: Any) -> None:
    """Write one waiting delivery per channel that wants `event`, and have them sent; runs in the caller's transaction.

    Links need a login and decide nothing by themselves.
    """
    title = f"{_MARKS.get(event, '')}{deployment.environment}: {_words(deployment, event, facts)}"
    kind = "Rollback to" if deployment.kind == "rollback" else "Release"
    lines = [
        f"{kind} {deployment.release}, requested by {deployment.requested_by}.",
        f"Reason: {deployment.reason}" if deployment.reason else "",
        str(facts.get("comment") or ""),
        deployment.sentence,
        f"{settings.PORTAL_URL}/deployments/{deployment.pk}/",
    ]
    _write(deployment.environment, event, f"deployment:{deployment.pk}", title, lines)


def notify_environment(environment: Environment, event: str, *, what: str, lines: list[str]) -> None:
    """The same for something about an environment rather than a deployment: `what` completes its title."""
    path = f"{settings.PORTAL_URL}/admin/deployments/environment/{environment.pk}/change/"
    _write(environment, event, f"environment:{environment}", f"{environment}: {what}", [*lines, path])


def notify_everyone(event: str, *, what: str, lines: list[str]) -> None:
    """The same for the portal itself; channels of every environment may want it."""
    _write(None, event, "portal", f"Portal: {what}", [*lines, f"{settings.PORTAL_URL}/"])


def announce_test(channel: NotificationChannel, *, by: str) -> NotificationDelivery:
    """Write a test message for one channel, whatever it subscribes to."""
    return NotificationDelivery.objects.create(
        channel=channel, event=TEST, subject=f"channel:{channel.pk}", title=_TEST_TITLE, body=_test_body(by)
    )


def send_test(url: str, *, by: str) -> str:
    """Send a test message now, to an address that need not be any channel's; empty, or what was wrong."""
    return _offered(url, _TEST_TITLE, lambda _: _test_body(by))


def _test_body(by: str) -> str:
    return f"{by} asked for it. Whoever reads this will also hear of deployments.\n{settings.PORTAL_URL}/"


def deliver_waiting() -> int:
    """Send what waits and is due, to channels before subscribers; returns how many were delivered.

    What fails is tried again, later each time; what is more than one go sends is left to the next.
    """
    now = timezone.now()
    due = NotificationDelivery.objects.filter(state=NotificationDelivery.State.WAITING).filter(
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    )
    delivered = 0
    rows = due.select_related("channel", "subscriber").order_by(F("subscriber").asc(nulls_first=True), "id")[:GO]
    waiting = list(rows)
    mails = [row for row in waiting if row.subscriber_id]
    more, waiting = len(mails) > MAILS or len(waiting) == GO, [row for row in waiting if row not in mails[MAILS:]]
    for delivery in waiting:
        # claimed by moving the next attempt: a second worker finds nothing due
        taken = NotificationDelivery.objects.filter(
            pk=delivery.pk, state=NotificationDelivery.State.WAITING, attempts=delivery.attempts
        ).update(attempts=delivery.attempts + 1, next_attempt_at=now + _pause(delivery.attempts))
        if taken:
            delivered += _send(delivery)
    if more:
        queueing.enqueue_delivery()
    return delivered


def counts() -> dict[str, int]:
    """How many messages are in each state. One query."""
    rows = NotificationDelivery.objects.order_by().values_list("state").annotate(count=Count("*"))
    return dict.fromkeys(NotificationDelivery.State.values, 0) | dict(rows)


def undelivered() -> int:
    """How many messages have failed at least once and not arrived: they wait for another attempt, or were given up."""
    state = NotificationDelivery.State
    # not `subscriber=None`: SQLite would take the index on that, and read all that there ever were
    rows = NotificationDelivery.objects.alias(to=Coalesce("subscriber_id", Value(0))).filter(to=0)
    return rows.filter(Q(state=state.FAILED) | Q(state=state.WAITING, attempts__gt=0)).count()


def _write(environment: Environment | None, event: str, subject: str, title: str, lines: list[str]) -> None:
    last = AuditEvent.objects.first()
    head = f"Audit head {last.sequence}:{last.hash}" if last else ""
    # a reason makes no line that looks like ours, and hides nothing
    title, *told = visible_lines([title, *filter(None, lines)])
    body = "\n".join([*told, head])
    channels = NotificationChannel.objects.filter(enabled=True)
    if environment is not None:
        channels = channels.filter(Q(environment=None) | Q(environment=environment))
        channels = channels.filter(Q(application=None) | Q(application__name=environment.application))
    deliveries = [
        NotificationDelivery(channel=channel, event=event, subject=subject, title=title[:250], body=body.strip())
        for channel in channels
        if not channel.events or event in channel.events
    ]
    NotificationDelivery.objects.bulk_create(deliveries)
    if deliveries:
        queueing.enqueue_delivery()


def _send(delivery: NotificationDelivery) -> bool:
    if _is_over(delivery):
        NotificationDelivery.objects.filter(pk=delivery.pk).update(
            state=NotificationDelivery.State.FAILED,
            error=f"What it asks for is over. {delivery.error}".strip()[:500],
        )
        return False
    error = _offered(str(delivery.channel.url), delivery.title, lambda sender: _addressed(sender, delivery))
    if not error:
        NotificationDelivery.objects.filter(pk=delivery.pk).update(
            state=NotificationDelivery.State.DELIVERED, delivered_at=timezone.now(), error=""
        )
        return True
    last = delivery.attempts + 1 >= _most_attempts(delivery)
    if last and delivery.subscriber is not None:  # a stranger's address is no trouble of the team's
        delivery.delete()
        return False
    NotificationDelivery.objects.filter(pk=delivery.pk).update(
        error=error[:500], state=NotificationDelivery.State.FAILED if last else NotificationDelivery.State.WAITING
    )
    return False


def _offered(url: str, title: str, body: Callable[[apprise.Apprise], str]) -> str:
    """Offer a message to a service. Empty where it was taken, else what was wrong, without the secrets of the URL."""
    with apprise.LogCapture(level=logging.WARNING) as said:  # type: ignore[no-untyped-call]  # published untyped
        if not (sender := apprise.Apprise()).add(url):
            return "The channel's URL is not one that Apprise understands."
        if sender.notify(title=title, body=body(sender)):
            return ""
        return f"The service did not accept the message. {_without_secrets(said.getvalue(), url)}".strip()


def _most_attempts(delivery: NotificationDelivery) -> int:
    if delivery.subscriber is not None:
        return SUBSCRIBER_ATTEMPTS
    return TEST_ATTEMPTS if delivery.event == TEST else ATTEMPTS


def _addressed(sender: apprise.Apprise, delivery: NotificationDelivery) -> str:
    """What is sent; of a message to a subscriber, which goes to them alone, with the links that only they get."""
    if delivery.subscriber is None:
        return delivery.body
    confirms, ends = subscribers.links_of(delivery.subscriber)
    mail: Any = sender[0]  # of apprise.plugins.email: see `channels._check`
    mail.targets, mail.cc, mail.bcc = [(False, str(delivery.subscriber.address))], set(), set()
    mail.headers |= {"List-Unsubscribe": f"<{ends}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    mail.notify_format = apprise.NotifyFormat.TEXT
    asks = f"Confirm within a day: {confirms}\n\nWhoever did not ask for it ignores this." if confirms else ""
    return "\n\n".join(filter(None, [delivery.body, asks, f"No more of these mails: {ends}"]))


def _is_over(delivery: NotificationDelivery) -> bool:
    """Whether it asks for an approval that nobody can give any more; the first attempt always tells."""
    if delivery.event != "approval_wanted" or not delivery.attempts:
        return False
    number = delivery.subject.removeprefix("deployment:")
    return not Deployment.objects.filter(pk=number, status=Status.AWAITING_APPROVAL).exists()


def _without_secrets(said: str, url: str) -> str:
    """The first line of what Apprise said, without any part of the URL that could be a password or token."""
    line = said.strip().partition("\n")[0]
    line = re.sub(r"^\S+ \S+ - \w+ - ", "", line)  # its own time and level
    for part in sorted(re.split(r"[/:@?&=,]+", url), key=len, reverse=True):
        if len(part) >= 6:
            line = line.replace(part, "…")
    return line


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=min(30 * 2**attempts, 3600))


def _words(deployment: Deployment, event: str, facts: dict[str, Any]) -> str:
    number = f"{deployment.kind} {deployment.pk}"
    if event == "approval_wanted":
        return f"{number} waits for approval"
    if event == "decided":
        return f"{number} was {'approved' if facts['approved'] else 'rejected'} by {facts['by']}"
    if event == "break_glass":
        if reviewer := facts.get("reviewed_by"):
            return f"break-glass of {number} was reviewed by {reviewer}"
        return f"BREAK-GLASS used by {deployment.requested_by} for {number}"
    if event == "withdrawn":
        return f"{number} is {deployment.get_status_display().lower()}"
    return f"{number} {event.replace('_', ' ')}"
