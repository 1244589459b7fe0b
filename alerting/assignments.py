"""Giving an alert to a person: who is to look after it. That it is looked after is said by acknowledging it."""

from collections import defaultdict

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from alerting.acknowledgements import locked, record
from alerting.models import Alert
from deployments.access.policy import may, require, user_actor
from deployments.access.verbs import Verb
from deployments.core.actors import Actor, system_actor
from deployments.models import Application, Environment
from engine.errors import Conflict, InvalidRequest

_LONGEST_NAME = 150


def assign(*, actor: Actor, alert: Alert, to: str) -> Alert:
    """Give a firing alert to the person of that user name; with "" it is nobody's.

    Raises NotAllowed, InvalidRequest for somebody who could do nothing about it, Conflict when it has ended.
    """
    require(actor, Verb.ACKNOWLEDGE, alert.environment)
    person = _person(to, alert.environment) if to else None
    with transaction.atomic():
        alert = locked(alert)
        if alert.status != Alert.Status.FIRING:
            raise Conflict(f"{alert.name} has ended: nobody need look after it.", reason="alert_ended")
        before = alert.assignee
        if before != person:
            alert.assignee = person
            alert.save(update_fields=["assignee"])
            names = {"to": person.username if person else "", "from": before.username if before else ""}
            record(actor, "alert.assigned", alert, **names)
    return alert


def end_of_absent() -> int:
    """Take firing alerts from those who may do nothing about them any more: switched off, or without the role.

    Nobody has them then, and the audit trail says so; returns how many.
    """
    rows = Alert.objects.filter(status=Alert.Status.FIRING, assignee__isnull=False)
    return sum(_take(one) for one in rows.select_related("environment", "assignee"))


def _take(alert: Alert) -> bool:
    if alert.assignee is None or may(user_actor(alert.assignee), Verb.ACKNOWLEDGE, alert.environment):
        return False
    before = alert.assignee.username
    with transaction.atomic():
        if not Alert.objects.filter(pk=alert.pk, assignee=alert.assignee).update(assignee=None):
            return False
        record(system_actor("schedule"), "alert.assigned", alert, to="", **{"from": before})
    return True


def assignable(environment: Environment | None = None) -> list[str]:
    """The names of those who can be given alerts, of that environment or of any, in order. Two queries at most."""
    able = Q(is_superuser=True) | Q(groups__name__in=Verb.ACKNOWLEDGE.rule.roles)
    people = User.objects.filter(able, is_active=True).distinct().order_by("username")
    if environment is None:
        return list(people.values_list("username", flat=True))
    narrowed: dict[int, set[str]] = defaultdict(set)
    for person, application in Application.objects.filter(people__isnull=False).values_list("people", "name"):
        narrowed[person].add(application)
    there = environment.application
    return [one.username for one in people if one.is_superuser or there in narrowed.get(one.pk, {there})]


def _person(name: str, environment: Environment | None) -> User:
    found = User.objects.filter(username=name).first() if len(name) <= _LONGEST_NAME and "\x00" not in name else None
    if found is None or not may(user_actor(found), Verb.ACKNOWLEDGE, environment):
        raise InvalidRequest(
            "An alert is given to somebody who is operator or approver there.",
            hint="Choose one of them.",
            reason="no_assignee",
        )
    return found
