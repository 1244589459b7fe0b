"""Who may do anything at all here, and whether somebody is alone."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone

from deployments.access.verbs import Verb
from deployments.core.actors import Actor, identity_in
from deployments.core.texts import named
from deployments.models import AuditEvent, Role

ALONE_FOR = timedelta(days=30)


def is_alone(actor: Actor, *, now: datetime | None = None, beside: str = "") -> bool:
    """Whether nobody but this signed-in person has a role or had one within the last 30 days.

    Else switching everybody off for a moment would make a team of one. The audit trail tells who had: whose account was
    made or changed with a role, and who acted. `beside` is somebody who does not count, because they come in only now.
    """
    with_roles = set(people_with_roles().values_list("username", flat=True))
    if actor.kind != "user" or with_roles - {beside} != {actor.identity}:
        return False
    lately = AuditEvent.objects.filter(at__gte=(now or timezone.now()) - ALONE_FOR)
    acted = {identity_in(name) for name in lately.order_by().values_list("actor", flat=True).distinct()}
    if any(":" not in name for name in acted - {actor.identity, beside}):  # neither the shell nor the system
        return False
    about = lately.filter(name__in=("person.added", "person.changed"))
    about = about.exclude(subject__in=[f"person:{actor.identity}", f"person:{beside}"])
    return not any(_tells_of_a_role(event.data) for event in about)


def people_with_roles() -> QuerySet[User]:
    """Everyone who may do something: active accounts with a role, and superusers."""
    return User.objects.filter(Q(is_superuser=True) | Q(groups__name__in=Role.values), is_active=True).distinct()


def _tells_of_a_role(data: dict[str, Any]) -> bool:
    """Whether an event about an account says that it had a role, before or after, or could use those it had."""
    changes = data.get("changes", {})
    return bool(data.get("roles") or any(changes.get("roles", ())) or any(changes.get("is_active", ())))


def who_may(verb: Verb) -> list[str]:
    """The names of all whose roles permit `verb` somewhere, in order."""
    roles = Q(groups__name__in=[role.value for role in verb.rule.roles])
    people = User.objects.filter(Q(is_superuser=True) | roles, is_active=True).distinct()
    return list(people.order_by("username").values_list("username", flat=True))


def whom_to_ask(verb: Verb) -> str:
    """Who may do `verb`, for somebody who may not: names, and the role that it takes."""
    names = who_may(verb)
    roles = " or ".join(sorted(role.value for role in verb.rule.roles))
    people = f"{named(names, 'or')} may" if names else "Nobody may"
    return f"{people} do this{'' if names else ' yet'}: it takes the role {roles}."


def administrators() -> QuerySet[User]:
    """Who can give roles: active administrators whose roles hold everywhere, and superusers."""
    everywhere = Q(groups__name=Role.ADMINISTRATOR.value, applications=None)
    return User.objects.filter(Q(is_superuser=True) | everywhere, is_active=True)
