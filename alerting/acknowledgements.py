"""Taking an alert in hand: by a person, with a comment, for a while.

An acknowledgement belongs to one occurrence of an alert. It ends when that occurrence ends, when somebody withdraws or
replaces it, and by itself: then people are told that the alert still fires and nobody has it in hand any more.
It never stops Alertmanager from telling anybody anything; that is what silences are for.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from alerting.models import Acknowledgement, Alert
from deployments.access.policy import require
from deployments.audit import trail
from deployments.core.actors import Actor, system_actor
from deployments.core.texts import checked
from deployments.notifications import notify
from engine.errors import Conflict, InvalidRequest

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=7)
COMMENT_CHARACTERS = 500
_ENDING = Acknowledgement.Ending


def acknowledge(
    *, actor: Actor, alert: Alert, comment: str, lasting: timedelta, now: datetime | None = None
) -> Acknowledgement:
    """Say that `actor` has a firing alert in hand for `lasting`; takes the place of what was said before.

    Raises NotAllowed, InvalidRequest (no comment, no such time, the dead man's switch), Conflict when it has ended.
    """
    require(actor, "acknowledge", alert.environment)
    comment = _checked(comment, lasting)
    if alert.severity == "none":
        raise InvalidRequest(f"{alert.name} fires always and alarms nobody.", hint="There is nothing to acknowledge.")
    now = now or timezone.now()
    with transaction.atomic():
        alert = _locked(alert)
        if alert.status != Alert.Status.FIRING:
            raise Conflict(
                f"{alert.name} has ended: there is nothing to acknowledge.",
                hint="Should it fire again, that is a new alert.",
                reason="alert_ended",
            )
        _open(alert).update(ended_at=now, ending=_ENDING.REPLACED)
        made = Acknowledgement.objects.create(
            alert=alert, actor=str(actor), comment=comment, made_at=now, expires_at=now + lasting
        )
        _record(actor, "alert.acknowledged", alert, comment=comment, until=made.expires_at)
    return made


def withdraw(*, actor: Actor, alert: Alert, now: datetime | None = None) -> Acknowledgement:
    """Take back that somebody has an alert in hand. Raises NotAllowed, Conflict when nobody has."""
    require(actor, "acknowledge", alert.environment)
    now = now or timezone.now()
    with transaction.atomic():
        alert = _locked(alert)
        held = next((one for one in _open(alert) if one.holds(now)), None)
        if held is None:
            raise Conflict(f"Nobody has {alert.name} in hand.", reason="not_acknowledged")
        held.ended_at, held.ending = now, _ENDING.WITHDRAWN
        held.save(update_fields=["ended_at", "ending"])
        _record(actor, "alert.acknowledgement_withdrawn", alert, by=held.actor)
    return held


def end_with_their_alerts(fingerprint: str, now: datetime) -> None:
    """End what was said about occurrences that are over; runs in the transaction that ends them."""
    Acknowledgement.objects.filter(
        alert__fingerprint=fingerprint, alert__status=Alert.Status.RESOLVED, ended_at=None
    ).update(ended_at=now, ending=_ENDING.RESOLVED)


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
        _record(system_actor("schedule"), "alert.acknowledgement_ran_out", alert, by=one.actor)
        what = f"{alert.name} still fires, and nobody has it in hand"
        lines = [alert.summary, f"{one.actor} had: {one.comment}", f"{settings.PORTAL_URL}/alerts/{alert.pk}/"]
        if alert.environment:
            notify.notify_environment(alert.environment, "unattended", what=what, lines=lines)
        else:
            notify.notify_everyone("unattended", what=what, lines=lines)
    return True


def _checked(comment: str, lasting: timedelta) -> str:
    comment = checked(comment, what="A comment", limit=COMMENT_CHARACTERS)
    if not comment:
        raise InvalidRequest(
            "An acknowledgement needs a comment.", hint="Say who does what about it.", reason="no_comment"
        )
    if not SHORTEST <= lasting <= LONGEST:
        raise InvalidRequest(
            f"An acknowledgement lasts from {SHORTEST.seconds // 60} minute to {LONGEST.days} days.",
            hint="It can be given again.",
        )
    return comment


def _locked(alert: Alert) -> Alert:
    """As it is now: its end waits for the caller's transaction."""
    rows = Alert.objects.select_for_update(of=("self",), no_key=True).select_related("environment")
    return rows.get(pk=alert.pk)


def _open(alert: Alert) -> QuerySet[Acknowledgement]:
    return Acknowledgement.objects.filter(alert=alert, ended_at=None)


def _record(actor: Actor, name: str, alert: Alert, **data: object) -> None:
    trail.record(
        actor=actor,
        name=name,
        subject=f"alert:{alert.pk}",
        environment=alert.environment or "",
        data={"alert": alert.name, **data},
    )
