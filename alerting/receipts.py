"""Which channel got which alert.

The portal sees its own deliveries. Of mail and Slack it sees what Alertmanager counts: messages taken, requests failed.
Alertmanager sends every message of a group to all channels alike, so as soon as a channel has taken as many messages as
the portal was told of, each of these has arrived there too. What cannot be told apart (Alertmanager was started anew, a
channel stays behind) gets no receipt: no proof is better than a wrong one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from alerting.dead_mans_switch import SWITCH
from alerting.models import AlertChannel, AlertReceipt
from deployments.core.alertmanager import alertmanager
from engine.alertmanager import AlertmanagerError, Taken

PORTAL = "portal"
GIVEN_UP_AFTER = timedelta(minutes=10)
"""A message that a channel has not taken by then gets no receipt, and no longer stands in the way of others."""
TOLD_WITHIN = timedelta(seconds=30)
"""A channel may take a message before the portal was told of it: for so long it is kept for that."""


def read(now: datetime | None = None) -> None:
    """Look what the channels have taken since the last look. One that cannot be asked changes nothing."""
    now = now or timezone.now()
    try:
        wanted, counts = alertmanager().integrations(), alertmanager().taken()
    except AlertmanagerError:
        return
    AlertChannel.objects.exclude(name__in=wanted).delete()
    for name in sorted(wanted):
        _read(name, counts.get(name, Taken()), now)


@transaction.atomic
def _read(name: str, counts: Taken, now: datetime) -> None:
    begin = {
        "messages": counts.messages,
        "failures": counts.failures,
        "settled_messages": counts.messages,
        "settled_at": now,
    }
    channel, new = AlertChannel.objects.select_for_update().get_or_create(name=name, defaults=begin)
    if new:
        return
    restarted = counts.messages < channel.messages or counts.failures < channel.failures
    if counts.messages > channel.messages and not restarted:
        channel.proven_at, channel.failing_since = now, None
    elif counts.failures > channel.failures and not restarted:
        channel.failing_since = channel.failing_since or now
    channel.messages, channel.failures = counts.messages, counts.failures
    if restarted:
        channel.settled_messages, channel.settled_at = counts.messages, now
    else:
        _settle(channel, now)
    channel.save()


def _settle(channel: AlertChannel, now: datetime) -> None:
    """Write receipts for what the portal was told of since, as soon as the channel has taken as much.

    What it took besides is kept for what the portal hears of next, and a delivery that is still being stored while
    this looks is found by the next look: `settled_at` is never later than what was compared.
    """
    since = AlertReceipt.objects.filter(channel=PORTAL, received_at__gt=channel.settled_at, received_at__lte=now)
    told = list(since.exclude(alert__name=SWITCH))
    if not told:
        if channel.proven_at is None or now - channel.proven_at > TOLD_WITHIN:
            channel.settled_messages = channel.messages
        return
    recent = AlertReceipt.objects.filter(channel=channel.name, received_at__gt=now - GIVEN_UP_AFTER)
    known = set(recent.values_list("alert", "status"))
    number = _messages(told, known)
    arrived = channel.messages - channel.settled_messages >= number
    if not arrived and min(receipt.received_at for receipt in told) > now - GIVEN_UP_AFTER:
        return
    channel.settled_messages = channel.settled_messages + number if arrived else channel.messages
    channel.settled_at = max(receipt.received_at for receipt in told)
    if arrived:
        new = {(each.alert_id, each.status): each for each in told if (each.alert_id, each.status) not in known}
        AlertReceipt.objects.bulk_create(
            AlertReceipt(
                alert_id=receipt.alert_id,
                status=receipt.status,
                receiver=receipt.receiver,
                channel=channel.name,
                group_key=receipt.group_key,
                received_at=now,
            )
            for receipt in new.values()
        )


def _messages(told: Sequence[AlertReceipt], known: Collection[tuple[int, str]]) -> int:
    """How many messages of Alertmanager's these are. The portal hears one again when its answer came too late: what
    says the same as another one, or nothing but what is `known` to have arrived, is none of its own.
    """
    contents: dict[tuple[str, datetime], set[tuple[int, str]]] = {}
    for each in told:
        contents.setdefault((each.group_key, each.received_at), set()).add((each.alert_id, each.status))
    return len({frozenset(said) for said in contents.values() if not said <= set(known)})
