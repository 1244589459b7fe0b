"""Taking a bot's heartbeat: its state, and what it adds to the history.

Only the portal's clock counts. A bot's clock may be wrong by years; `sent_at` is kept to say so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from dashboard.health.document import HealthDocument
from dashboard.intervals import DOWN_AFTER, LISTENED
from dashboard.models import BotState
from dashboard.services import samples
from deployments.core import read_only
from deployments.models import Server

_WRITTEN = [field.name for field in BotState._meta.concrete_fields if not field.primary_key]


@dataclass(frozen=True)
class Heartbeat:
    """What a bot said, or what its health address said to the portal (`probed`).

    `response_ms` is how long its own health answer took.
    """

    health: HealthDocument
    release: str
    sent_at: datetime
    response_ms: float | None = None
    goodbye: bool = False
    probed: bool = False


@transaction.atomic
def accept(*, server: Server, heartbeat: Heartbeat, now: datetime | None = None) -> BotState:
    """Store `heartbeat` as the bot's latest word and add it to the samples. The caller has checked the token.

    Raises NotInCharge when the portal has moved.
    """
    read_only.refuse_change()
    now = now or timezone.now()
    health = heartbeat.health
    # unordered: the default order would join the server and its environment, for one row
    before = next(iter(BotState.objects.select_for_update().filter(pk=server.pk).order_by()), None)
    samples.add(server, now, _increment(before, heartbeat, now))
    state = BotState(
        server=server,
        connected=health.connected,
        channel=health.channel,
        uptime=health.uptime,
        version=health.version,
        user_count=health.user_count,
        requests=health.requests,
        errors=health.errors,
        release=heartbeat.release,
        response_ms=heartbeat.response_ms,
        sent_at=heartbeat.sent_at,
        heard_at=now,
        first_heard_at=before.first_heard_at if before else now,
        changed_at=now if before is None or _changed(before, heartbeat, now) else before.changed_at,
        observed_until=now,
        goodbye=heartbeat.goodbye,
        probed=heartbeat.probed,
    )
    # two first heartbeats at once both find nothing before them, and must not trip over each other
    BotState.objects.bulk_create([state], update_conflicts=True, unique_fields=["server"], update_fields=_WRITTEN)
    return state


def _changed(before: BotState, heartbeat: Heartbeat, now: datetime) -> bool:
    """Whether it is not known to have been since `before` what it is now: nobody knows what a silence hides.

    One that the portal asks keeps no silence: a gap there is the portal's own.
    """
    silent = not heartbeat.probed and (now - before.heard_at).total_seconds() > DOWN_AFTER
    is_other = (before.connected, before.goodbye) != (heartbeat.health.connected, heartbeat.goodbye)
    return silent or is_other or _began_anew(before, heartbeat.health)


def _began_anew(before: BotState, health: HealthDocument) -> bool:
    """Whether another process speaks: it counts from zero again, and its uptime is shorter than the one we knew."""
    return health.uptime < before.uptime or health.requests < before.requests


def _increment(before: BotState | None, heartbeat: Heartbeat, now: datetime) -> samples.Increment:
    health = heartbeat.health
    started = before is None or _began_anew(before, health)
    known_requests = 0 if before is None or started else before.requests
    known_errors = 0 if before is None or started else before.errors
    return samples.Increment(
        connected_seconds=_connected_seconds(before, health, now),
        users=health.user_count,
        requests=0 if before is None else health.requests - known_requests,
        errors=0 if before is None else max(0, health.errors - known_errors),
        response_ms=heartbeat.response_ms,
        started=started and before is not None,
        observed_seconds=_observed_seconds(before, now),
    )


def note_silences(now: datetime | None = None) -> int:
    """Count what is silent as absent for as long as somebody listens here; returns how many bots are.

    Runs every minute. Where it did not run, the portal was off, and nobody knows how the bots were.
    """
    now = now or timezone.now()
    rows = BotState.objects.filter(probed=False, heard_at__lt=now - timedelta(seconds=DOWN_AFTER))
    silent = rows.values_list("pk", flat=True)
    return sum(_note_silence(server, now) for server in silent)


@transaction.atomic
def _note_silence(server_id: int, now: datetime) -> bool:
    state = next(iter(BotState.objects.select_for_update().filter(pk=server_id).order_by()), None)
    if state is None or (now - state.heard_at).total_seconds() <= DOWN_AFTER:
        return False  # it has spoken meanwhile
    if seconds := _observed_seconds(state, now):
        samples.add(state.server, now, samples.Increment(0.0, 0, 0, 0, None, False, seconds, beats=0))
    BotState.objects.filter(pk=server_id).update(observed_until=now)
    return True


def _observed_seconds(before: BotState | None, now: datetime) -> float:
    """The time since this bot was last listened to; nothing of it when that is too long ago to have been listening.

    A bot's first words come before it has entered its room, which is no absence.
    """
    if before is None or (before.heard_at == before.first_heard_at and not before.connected):
        return 0.0
    since = (now - (before.observed_until or before.heard_at)).total_seconds()
    return since if 0 <= since <= LISTENED else 0.0


def _connected_seconds(before: BotState | None, health: HealthDocument, now: datetime) -> float:
    """The time since the last heartbeat, if both say connected and the silence was short enough to believe it."""
    if before is None or not before.connected or before.goodbye or not health.connected:
        return 0.0
    silence = (now - before.heard_at).total_seconds()
    return silence if 0 <= silence <= (LISTENED if before.probed else DOWN_AFTER) else 0.0
