"""Taking an alert in hand, or letting it wait: by a person, for a while.

An acknowledgement says that somebody works on it, a snooze that it is to come back later. Both belong to one occurrence
of an alert, of which there is one at a time. It ends when that occurrence ends, when somebody withdraws or replaces it,
and by itself: then people are told that the alert still fires and nobody has it in hand any more.
It never stops Alertmanager from telling anybody anything; that is what silences are for.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from alerting.models import Acknowledgement, Alert
from deployments.access.policy import require, still_may
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor, system_actor
from deployments.core.texts import checked
from deployments.notifications import messages
from engine.errors import Conflict, InvalidRequest

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=7)
COMMENT_CHARACTERS = 500
_ENDING, _Kind = Acknowledgement.Ending, Acknowledgement.Kind
_NOUN = {_Kind.ACKNOWLEDGED: "An acknowledgement", _Kind.SNOOZED: "A snooze"}


def acknowledge(
    *, actor: Actor, alert: Alert, lasting: timedelta, comment: str = "", now: datetime | None = None
) -> Acknowledgement:
    """Say that `actor` has a firing alert in hand for `lasting`; takes the place of what was said before.

    Raises NotAllowed, InvalidRequest (no such time, the dead man's switch), Conflict when it has ended.
    """
    require(actor, Verb.ACKNOWLEDGE, alert.environment)
    comment = checked(comment, what="A comment", limit=COMMENT_CHARACTERS)
    now = now or timezone.now()
    return _hold(actor, alert, _Kind.ACKNOWLEDGED, comment, now, now + lasting)


def snooze(
    *, actor: Actor, alert: Alert, until: datetime, comment: str = "", now: datetime | None = None
) -> Acknowledgement:
    """Let a firing alert wait until then, when it comes back by itself; takes the place of what was said before.

    Raises NotAllowed, InvalidRequest (no such time, the dead man's switch), Conflict when it has ended.
    """
    require(actor, Verb.ACKNOWLEDGE, alert.environment)
    comment = checked(comment, what="A comment", limit=COMMENT_CHARACTERS)
    return _hold(actor, alert, _Kind.SNOOZED, comment, now or timezone.now(), until)


def _hold(
    actor: Actor, alert: Alert, kind: Acknowledgement.Kind, comment: str, now: datetime, until: datetime
) -> Acknowledgement:
    if not SHORTEST <= until - now <= LONGEST:
        raise InvalidRequest(
            f"{_NOUN[kind]} lasts from {SHORTEST.seconds // 60} minute to {LONGEST.days} days.",
            hint="It can be given again.",
        )
    if alert.severity == "none":
        raise InvalidRequest(f"{alert.name} fires always and alarms nobody.", hint="There is nothing to acknowledge.")
    with transaction.atomic():
        alert = locked(alert)
        if alert.status != Alert.Status.FIRING:
            raise Conflict(
                f"{alert.name} has ended: there is nothing to acknowledge.",
                hint="Should it fire again, that is a new alert.",
                reason="alert_ended",
            )
        _open(alert).update(ended_at=now, ending=_ENDING.REPLACED)
        made = Acknowledgement.objects.create(
            alert=alert, kind=kind, actor=str(actor), comment=comment, made_at=now, expires_at=until
        )
        record(actor, f"alert.{kind}", alert, comment=comment, until=until)
    return made


def withdraw(*, actor: Actor, alert: Alert, now: datetime | None = None) -> Acknowledgement:
    """Take back that somebody has an alert in hand, or lets it wait. Raises NotAllowed, Conflict when nobody has."""
    require(actor, Verb.ACKNOWLEDGE, alert.environment)
    now = now or timezone.now()
    with transaction.atomic():
        alert = locked(alert)
        held = next((one for one in _open(alert) if one.holds(now)), None)
        if held is None:
            raise Conflict(f"Nobody has acknowledged {alert.name}.", reason="not_acknowledged")
        held.ended_at, held.ending = now, _ENDING.WITHDRAWN
        held.save(update_fields=["ended_at", "ending"])
        name = "alert.woken" if held.kind == _Kind.SNOOZED else "alert.acknowledgement_withdrawn"
        record(actor, name, alert, by=held.actor)
    return held


def end_with_their_alerts(fingerprint: str, now: datetime) -> None:
    """End what was said about occurrences that are over; runs in the transaction that ends them."""
    Acknowledgement.objects.filter(
        alert__fingerprint=fingerprint, alert__status=Alert.Status.RESOLVED, ended_at=None
    ).update(ended_at=now, ending=_ENDING.RESOLVED)


def end_of_absent(now: datetime | None = None) -> int:
    """End what people have in hand, or let wait, who may not do so any more: switched off, or without the role.

    People are told that these alerts still fire, as they are when the time is up; returns how many.
    """
    now = now or timezone.now()
    due = Acknowledgement.objects.filter(ended_at=None).select_related("alert__environment")
    return sum(_run_out(one, now) for one in due if not still_may(one.actor, Verb.ACKNOWLEDGE, one.alert.environment))


def end_run_out(now: datetime | None = None) -> int:
    """Close acknowledgements whose time is up, and tell people that these alerts still fire; returns how many."""
    now = now or timezone.now()
    due = Acknowledgement.objects.filter(ended_at=None, expires_at__lte=now).select_related("alert__environment")
    return sum(_run_out(one, now) for one in due)


def _run_out(one: Acknowledgement, now: datetime) -> bool:
    alert = one.alert
    with transaction.atomic():
        taken = Acknowledgement.objects.filter(pk=one.pk, ended_at=None).update(ended_at=now, ending=_ENDING.EXPIRED)
        if not taken:  # somebody was quicker
            return False
        snoozed = one.kind == _Kind.SNOOZED
        name = "alert.snooze_ended" if snoozed else "alert.acknowledgement_ran_out"
        record(system_actor("schedule"), name, alert, by=one.actor)
        why = "its snooze has ended" if snoozed else "nobody has acknowledged it"
        what = f"{alert.name} still fires, and {why}"
        said = f"{one.actor} {'let it wait' if snoozed else 'had'}{f': {one.comment}' if one.comment else ''}"
        lines = [alert.summary, said, f"{settings.PORTAL_URL}/alerts/{alert.pk}/"]
        if alert.environment:
            messages.notify_environment(alert.environment, "unattended", what=what, lines=lines)
        else:
            messages.notify_everyone("unattended", what=what, lines=lines)
    return True


def locked(alert: Alert) -> Alert:
    """As it is now: its end waits for the caller's transaction."""
    rows = Alert.objects.select_for_update(of=("self",), no_key=True).select_related("environment", "assignee")
    return rows.get(pk=alert.pk)


def _open(alert: Alert) -> QuerySet[Acknowledgement]:
    return Acknowledgement.objects.filter(alert=alert, ended_at=None)


def record(actor: Actor, name: str, alert: Alert, **data: object) -> None:
    """The audit event of what was done about an alert."""
    trail.record(
        actor=actor,
        name=name,
        subject=f"alert:{alert.pk}",
        environment=alert.environment or "",
        data={"alert": alert.name, **data},
    )
