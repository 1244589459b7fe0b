"""Locking an environment with a reason, until somebody unlocks it or until a time, and unlocking it."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.guards import locked_sentence
from deployments.models import Environment
from deployments.notifications.messages import notify_environment
from engine.errors import Conflict, InvalidRequest

FIELDS = ("locked_at", "locked_by", "lock_reason", "lock_until")


def lock_environment(
    *, actor: Actor, environment: Environment, reason: str, until: datetime | None = None
) -> Environment:
    """Refuse deployments until then, by the database's clock, or until somebody unlocks it; rollbacks go on.

    Raises NotAllowed, InvalidRequest (no reason, a time that has passed), Conflict when it is locked.
    """
    reason = _reason(reason, "Locking an environment")
    require(actor, Verb.LOCK, environment)
    until = _in_utc(until)
    with transaction.atomic():
        locked, now = locked_environment(environment.pk), timezone.now()
        if until is not None and until <= now:
            raise InvalidRequest("The lock would end before it begins.", hint="Name a time to come.")
        if locked.locked:
            raise Conflict(locked_sentence(locked), hint="Unlock it first, then lock it anew.", reason="already_locked")
        _end_passed(actor, locked)
        locked.locked_at, locked.locked_by, locked.lock_reason, locked.lock_until = now, str(actor), reason, until
        locked.save(update_fields=FIELDS)
        _record(actor, locked, "locked", reason=reason, until=until)
        end = f"It ends by itself at {until:%Y-%m-%d %H:%M} UTC." if until else ""
        notify_environment(locked, "locked", what=f"locked by {actor}", lines=[reason, end])
    environment.refresh_from_db()
    return environment


def unlock_environment(*, actor: Actor, environment: Environment, reason: str) -> Environment:
    """Let deployments happen again. Raises InvalidRequest without a reason, Conflict when it is not locked."""
    reason = _reason(reason, "Unlocking an environment")
    require(actor, Verb.LOCK, environment)
    with transaction.atomic():
        locked = locked_environment(environment.pk)
        if not locked.locked:
            raise Conflict(f"{locked} is not locked.", reason="not_locked")
        _record(actor, locked, "unlocked", reason=reason, was_locked=_open(locked))
        notify_environment(locked, "locked", what=f"unlocked by {actor}", lines=[reason])
    environment.refresh_from_db()
    return environment


def end_passed_locks(*, actor: Actor) -> int:
    """Write down the end of every lock whose time is over, and tell people; returns how many. They hold no more."""
    due = Environment.objects.filter(locked_at__isnull=False, lock_until__lte=timezone.now())
    ended = 0
    for pk in due.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            ended += _end_passed(actor, locked_environment(pk))
    return ended


def _in_utc(until: datetime | None) -> datetime | None:
    """As every sentence about it says it."""
    try:
        return until.astimezone(UTC) if until else None
    except OverflowError as error:
        raise InvalidRequest(
            "The lock would end in a year that no calendar has.", hint="Name a time to come."
        ) from error


def _end_passed(actor: Actor, locked: Environment) -> bool:
    if locked.locked_at is None or locked.locked:
        return False  # another process was quicker, or somebody locked it anew
    was = _open(locked)
    _record(actor, locked, "lock_ended", was_locked=was)
    notify_environment(locked, "locked", what="its lock has ended by itself", lines=[f"{was['by']}: {was['because']}"])
    return True


def _open(locked: Environment) -> dict[str, Any]:
    """Take the lock away; returns what it was."""
    was = {"by": locked.locked_by, "because": locked.lock_reason, "since": locked.locked_at}
    if locked.lock_until:
        was["until"] = locked.lock_until
    locked.locked_at, locked.locked_by, locked.lock_reason, locked.lock_until = None, "", "", None
    locked.save(update_fields=FIELDS)
    return was


def _record(actor: Actor, locked: Environment, what: str, **data: Any) -> None:
    kept = {name: value for name, value in data.items() if value is not None}
    trail.record(
        actor=actor, name=f"environment.{what}", subject=f"environment:{locked}", environment=locked, data=kept
    )


def _reason(reason: str, what: str) -> str:
    if not reason.strip():
        raise InvalidRequest(f"{what} needs a reason.", hint="Say why, for those who find it so.", reason="no_reason")
    return checked(reason).rstrip(". ") or reason
