"""Where notifications go. A channel's URL may hold a password: the record says that it changed, never what it is."""

from collections.abc import Mapping
from copy import copy
from typing import Any

import apprise
from django.core.exceptions import ValidationError
from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.http.limits import WINDOW_SECONDS, TooManyRequests, within
from deployments.http.server_slots import server_slot
from deployments.models import Application, Environment, NotificationChannel, NotificationDelivery
from deployments.notifications import messages
from engine.errors import Conflict, InvalidRequest

FIELDS = ("name", "url", "application", "environment", "events", "enabled", "mails_subscribers")


def save_channel(
    *, actor: Actor, channel: NotificationChannel | None, values: Mapping[str, Any]
) -> NotificationChannel:
    """Make a channel, or change one. `values` are of FIELDS. Raises NotAllowed, InvalidRequest."""
    _require(actor, values.get("application"), values.get("environment"))
    if channel is not None and channel.pk:  # it may have been another application's until now
        _require_for(actor, NotificationChannel.objects.get(pk=channel.pk))
    with transaction.atomic():
        saved = NotificationChannel.objects.get(pk=channel.pk) if channel and channel.pk else NotificationChannel()
        new = saved.pk is None
        before = {} if new else _shown(saved)
        old_url = str(saved.url or "")
        for name, value in values.items():
            setattr(saved, name, checked(value, what="A name", limit=100) if name == "name" else value)
        _check(saved)
        saved.save()
        differing = trail.changes(before, _shown(saved))
        if old_url != str(saved.url) and not new:
            differing["url"] = ["(secret)", "(another secret)"]
        if new or differing:
            trail.record(
                actor=actor,
                name="channel.added" if new else "channel.changed",
                subject=f"channel:{saved.pk}",
                environment=saved.environment or "",
                data={"name": saved.name, "changes": differing},
            )
    return saved


def _require_for(actor: Actor, channel: NotificationChannel) -> None:
    _require(actor, channel.application, channel.environment)


def _require(actor: Actor, application: Application | None, environment: Environment | None) -> None:
    """Of a channel that is for everything it takes somebody whose roles hold everywhere."""
    if application and environment and environment.application != application.name:
        raise InvalidRequest(f"{environment} is no environment of {application}.", hint="Leave one of them empty.")
    require(actor, Verb.CONFIGURE, environment, application=application.name if application else None)


def delete_channel(*, actor: Actor, channel: NotificationChannel) -> None:
    """Forget a channel and the record of its deliveries."""
    _require_for(actor, channel)
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="channel.deleted",
            subject=f"channel:{channel.pk}",
            environment=channel.environment or "",
            data={"name": channel.name},
        )
        channel.delete()


def test_channel(*, actor: Actor, channel: NotificationChannel) -> NotificationDelivery:
    """Queue a test message; what became of it is in the delivery record."""
    _require_for(actor, channel)
    with transaction.atomic():
        delivery = messages.announce_test(channel, by=str(actor))
        queueing.enqueue_delivery()
        trail.record(
            actor=actor,
            name="channel.tested",
            subject=f"channel:{channel.pk}",
            environment=channel.environment or "",
            data={"name": channel.name},
        )
    return delivery


TRIES = 6
"""A minute, of one person."""


def try_channel(*, actor: Actor, channel: NotificationChannel | None, values: Mapping[str, Any]) -> str:
    """Send a test message to what `values` (of FIELDS) say, and store nothing of them.

    `channel` is the one that they would change. Returns what was wrong, or nothing where the service took the message.
    Raises NotAllowed, InvalidRequest, TooManyRequests.
    """
    _require(actor, values.get("application"), values.get("environment"))
    if channel is not None:
        _require_for(actor, channel)
    draft = copy(channel) if channel is not None else NotificationChannel()
    for name, value in values.items():
        setattr(draft, name, value)
    _check(draft)
    if not within(f"channel-test:{actor.identity}", TRIES):
        raise TooManyRequests(WINDOW_SECONDS)
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="channel.tested",
            subject=f"channel:{channel.pk}" if channel else "channel",
            environment=draft.environment or "",
            data={"name": draft.name, "scheme": _scheme(draft), "stored": False},
        )
    with server_slot():
        return messages.send_test(str(draft.url), by=str(actor))


def send_again(*, actor: Actor, delivery: NotificationDelivery) -> None:
    """Try a message that was given up anew, as often as one that is new. Raises NotAllowed, Conflict."""
    _require_for(actor, delivery.channel)
    state = NotificationDelivery.State
    with transaction.atomic():
        waits = NotificationDelivery.objects.filter(pk=delivery.pk, state=state.FAILED).update(
            state=state.WAITING, attempts=0, next_attempt_at=None
        )
        if not waits:
            raise Conflict("This message was not given up.", hint="It waits for its next attempt, or has arrived.")
        queueing.enqueue_delivery()
        trail.record(
            actor=actor,
            name="notification.sent_again",
            subject=f"channel:{delivery.channel_id}",
            environment=delivery.channel.environment or "",
            data={"name": delivery.channel.name, "title": delivery.title},
        )


def _shown(channel: NotificationChannel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "scheme": _scheme(channel),
        "environment": str(channel.environment or ""),
        "events": list(channel.events),
        "enabled": channel.enabled,
        "mails_subscribers": channel.mails_subscribers,
    }


def _scheme(channel: NotificationChannel) -> str:
    return str(channel.url).partition("://")[0]


def _check(channel: NotificationChannel) -> None:
    if unknown := sorted(set(channel.events) - set(messages.EVENTS)):
        raise InvalidRequest(f"There is no event {', '.join(unknown)}.")
    if not apprise.Apprise().add(str(channel.url)):
        raise InvalidRequest(
            "This is no address that Apprise understands.",
            hint="For example mailto://user:password@example.org, slack://…, json://host/path.",
            reason="bad_url",
        )
    if channel.mails_subscribers and _scheme(channel) not in ("mailto", "mailtos"):
        raise InvalidRequest(
            "Only mail reaches subscribers.", hint="Give the channel a mailto:// or mailtos:// URL.", reason="bad_url"
        )
    if channel.mails_subscribers and (channel.application or channel.environment):
        raise InvalidRequest(
            "A channel that mails subscribers is for everything.", hint="Leave application and environment empty."
        )
    try:
        channel.full_clean(exclude=["url"])
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was changed.") from error
