"""Maintenance windows: made, ended early, begun and ended by the clock, with a silence of the environment's alerts.

While a window holds, deployments and approvals are refused there and going back is not (`environments.guards`): the
database's clock says so. What is done every minute only writes down what was so already, and sees to the silence, since
Alertmanager may have been away when the window was made.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alerting import silenced
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor, system_actor
from deployments.core.alertmanager import alertmanager
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.guards import refuse_retired
from deployments.models import Environment, Maintenance
from deployments.notifications.messages import notify_environment
from engine.alertmanager import AlertmanagerError, Matcher
from engine.errors import Conflict, InvalidRequest

logger = logging.getLogger(__name__)

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=30)
AHEAD = timedelta(days=365)
TITLE_CHARACTERS = 120


def plan(
    *,
    actor: Actor,
    environment: Environment,
    title: str,
    starts_at: datetime | None = None,
    ends_at: datetime | None,
    public: bool = False,
) -> Maintenance:
    """Set a window aside, from now on where it names no beginning.

    Raises NotAllowed, InvalidRequest (no title, impossible times), Conflict where another one is planned at that time.
    """
    require(actor, Verb.LOCK, environment)
    title = checked(title, what="A title", limit=TITLE_CHARACTERS)
    if not title:
        raise InvalidRequest("Maintenance needs a title.", hint="Say in a few words what is done.")
    now = timezone.now()
    starts_at, ends_at = _possible(max(starts_at or now, now), ends_at, now)
    with transaction.atomic():
        home = locked_environment(environment.pk)
        refuse_retired(home)
        _refuse_overlap(home, starts_at, ends_at)
        made = Maintenance.objects.create(
            environment=home,
            title=title,
            starts_at=starts_at,
            ends_at=ends_at,
            public=public,
            made_by=str(actor),
            made_at=now,
        )
        _record(actor, made, "planned")
        _tell(made, f"maintenance planned by {actor}", f"{title}: {_times(made)}")
    tend()
    made.refresh_from_db()
    return made


def _possible(starts_at: datetime, ends_at: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    if ends_at is None or not SHORTEST <= ends_at - starts_at <= LONGEST or starts_at - now > AHEAD:
        raise InvalidRequest(
            f"Maintenance lasts from {SHORTEST.seconds // 60} minute to {LONGEST.days} days, and begins within a year.",
            hint="Say when it begins and ends, in UTC.",
        )
    return starts_at, ends_at


def _refuse_overlap(home: Environment, starts_at: datetime, ends_at: datetime) -> None:
    others = Maintenance.objects.filter(environment=home, ended_at=None, starts_at__lt=ends_at)
    if other := others.filter(ends_at__gt=starts_at).first():
        raise Conflict(
            f"Maintenance of {home} is planned then already: {other.title}.",
            hint="End that one, or choose another time.",
            reason="maintenance_planned",
        )


def end(*, actor: Actor, window: Maintenance, reason: str) -> Maintenance:
    """End it now, or call it off before it begins. Raises NotAllowed, InvalidRequest, Conflict when it is over."""
    require(actor, Verb.LOCK, window.environment)
    reason = checked(reason)
    if not reason:
        raise InvalidRequest("Ending maintenance early needs a reason.", hint="Say why.", reason="no_reason")
    with transaction.atomic():
        row, now = _locked(window), timezone.now()
        if row.ended_at is not None or row.ends_at <= now:
            raise Conflict(f"Maintenance {row.pk} of {row.environment} is over.", reason="maintenance_over")
        row.ended_at = now
        row.save(update_fields=["ended_at"])
        what = "ended" if row.starts_at <= now else "called_off"
        _record(actor, row, what, reason=reason)
        _tell(row, f"maintenance {what.replace('_', ' ')} by {actor}", f"{row.title}: {reason}")
    _lift(row)
    return row


def tend() -> int:
    """Write down what began and ended by the clock, and make silences that are lacking; returns how many windows."""
    now = timezone.now()
    due = Maintenance.objects.filter(ended_at=None).filter(
        Q(began_at=None, starts_at__lte=now) | Q(ends_at__lte=now) | Q(silence="")
    )
    rows = list(due.select_related("environment"))
    for row in rows:
        _turn(row)
        if not row.silence and row.ends_at > now:
            _silence(row)
    return len(rows)


def _turn(window: Maintenance) -> None:
    """Its beginning and its end, each once."""
    actor = system_actor("schedule")
    with transaction.atomic():
        row, now = _locked(window), timezone.now()
        if row.ended_at is None and row.began_at is None and row.starts_at <= now:
            row.began_at = now
            row.save(update_fields=["began_at"])
            _record(actor, row, "began")
            _tell(row, "maintenance began", f"{row.title}: {_times(row)}")
        if row.ended_at is None and row.ends_at <= now:
            row.ended_at = row.ends_at
            row.save(update_fields=["ended_at"])
            _record(actor, row, "ended")
            _tell(row, "maintenance ended", row.title)


def _locked(window: Maintenance) -> Maintenance:
    rows = Maintenance.objects.select_for_update(of=("self",), no_key=True).select_related("environment")
    return rows.get(pk=window.pk)


def _silence(row: Maintenance) -> None:
    """Of every alert there, until its end. What Alertmanager does not take now, it is asked again in a minute."""
    try:
        made = alertmanager().create_silence(
            matchers=[Matcher("environment", str(row.environment))],
            starts_at=max(row.starts_at, timezone.now()),
            ends_at=row.ends_at,
            created_by=row.made_by,
            comment=f"Maintenance: {row.title}",
        )
    except AlertmanagerError as error:
        logger.debug("no silence for %s: %s", row, error.message)
        return
    if not Maintenance.objects.filter(pk=row.pk, silence="", ended_at=None).update(silence=made):
        _expire(made)  # another process was quicker, or somebody ended it
        return
    row.silence = made
    silenced.mark()


def _lift(row: Maintenance) -> None:
    if row.silence:
        _expire(row.silence)
        silenced.mark()


def _expire(identifier: str) -> None:
    try:
        alertmanager().expire_silence(identifier)
    except AlertmanagerError as error:  # it ends by itself
        logger.warning("a silence of maintenance stays until its end: %s", error.message)


def _times(row: Maintenance) -> str:
    return f"{row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M} UTC"


def _record(actor: Actor, row: Maintenance, what: str, **more: object) -> None:
    facts = {"title": row.title, "from": row.starts_at, "until": row.ends_at, "public": row.public}
    trail.record(
        actor=actor,
        name=f"maintenance.{what}",
        subject=f"maintenance:{row.pk}",
        environment=row.environment,
        data=facts | more,
    )


def _tell(row: Maintenance, what: str, line: str) -> None:
    link = f"{settings.PORTAL_URL}/maintenance/"
    notify_environment(row.environment, "maintenance", what=what, lines=[line, link])
