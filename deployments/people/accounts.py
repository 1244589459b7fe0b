"""Accounts and their roles. Accounts are never deleted, only switched off: the record keeps naming people."""

from collections.abc import Iterable, Mapping
from typing import Any

from axes.utils import reset
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.team import administrators
from deployments.access.tokens import revoke_tokens_of
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Application, Role
from deployments.people.invitations import end_invitations
from deployments.people.passwords import put_password
from deployments.people.signing_keys import revoke_keys_of
from deployments.requests.requests import withdraw_orphans
from engine.errors import Conflict, InvalidRequest, NotAllowed

"""How long nobody else may have had a role before somebody counts as a team of one."""
FIELDS = ("first_name", "last_name", "email", "is_active")


def add_person(
    *,
    actor: Actor,
    username: str,
    roles: Iterable[Role],
    first_name: str = "",
    last_name: str = "",
    email: str = "",
) -> User:
    """Make an account that has no way in yet (`invitations`). Raises NotAllowed, InvalidRequest (name)."""
    require(actor, Verb.MANAGE_PEOPLE)
    chosen = _chosen(roles)
    person = User(username=username, first_name=first_name, last_name=last_name, email=email)
    person.is_staff = bool(chosen)
    with transaction.atomic():
        person.set_unusable_password()
        _clean(person)
        person.save()
        person.groups.set(_groups(chosen))
        _record(actor, person, "person.added", roles=chosen, email=email)
    return person


def change_person(
    *,
    actor: Actor,
    person: User,
    changes: Mapping[str, Any],
    roles: Iterable[Role],
    applications: Iterable[Application] | None = None,
) -> User:
    """Change an account's FIELDS and roles; what differs is in the audit trail. Somebody must remain administrator.

    `applications` are those in which the roles hold: none of them is all; None leaves that as it is.
    What the person asked for and may not ask for any more is withdrawn, unless it has begun. Switched off, they lose
    their tokens and sessions for good.
    Raises NotAllowed, InvalidRequest, Conflict (the last administrator).
    """
    require(actor, Verb.MANAGE_PEOPLE)
    chosen = _chosen(roles)
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise InvalidRequest(f"Not a field of an account: {', '.join(unknown)}.")
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        held = list(locked.applications.all())
        wanted = held if applications is None else sorted(applications, key=str)
        before = {name: getattr(locked, name) for name in changes}
        before |= {"roles": _roles(locked), "applications": [str(row) for row in held]}
        for name, value in changes.items():
            setattr(locked, name, value)
        locked.is_staff = bool(chosen) or locked.is_superuser
        _clean(locked)
        locked.save(update_fields=[*changes, "is_staff"])
        locked.groups.set(_groups(chosen))
        locked.applications.set(wanted)
        after = {**changes, "roles": chosen, "applications": [str(row) for row in wanted]}
        differing = trail.changes(before, after)
        _refuse_without_administrator(locked)
        if differing:
            _settle(actor, locked, differing)
    person.refresh_from_db()
    return person


def _refuse_without_administrator(changed: User) -> None:
    if not administrators().exists():
        raise Conflict(
            f"{changed.get_username()} is the last administrator.",
            hint="Make somebody else an administrator first.",
            reason="last_administrator",
        )


def _settle(actor: Actor, changed: User, differing: dict[str, Any]) -> None:
    """The record, and an end to what they may not do any more."""
    _record(actor, changed, "person.changed", changes=differing)
    withdraw_orphans(actor=actor, person=changed.get_username())
    if not changed.is_active:
        revoke_tokens_of(actor=actor, person=changed)
        revoke_keys_of(actor=actor, person=changed.get_username())
        end_sessions(changed)
        end_invitations(changed)


def change_own_password(*, actor: Actor, person: User, old: str, password: str) -> None:
    """Somebody's own new password. Raises NotAllowed when `old` is wrong or it is somebody else's account."""
    if actor.kind != "user" or actor.identity != person.get_username():
        raise NotAllowed("A password is changed by whoever it belongs to.", hint="Ask an administrator.")
    if not person.check_password(old):
        raise NotAllowed("The old password is not right.", reason="wrong_password")
    with transaction.atomic():
        put_password(person, password)
        person.save(update_fields=["password"])
        _record(actor, person, "person.password_changed")


def clear_lock_out(*, actor: Actor, username: str) -> None:
    """Forget the failed sign-ins of a name, so that its next try is allowed."""
    require(actor, Verb.MANAGE_PEOPLE)
    with transaction.atomic():
        reset(username=username)
        trail.record(actor=actor, name="person.let_in", subject=f"person:{username}")


def end_sessions(person: User) -> None:
    """End every session of somebody; else they would live again with the account."""
    for session in Session.objects.filter(expire_date__gte=timezone.now()):
        if session.get_decoded().get(SESSION_KEY) == str(person.pk):
            session.delete()


def _clean(person: User) -> None:
    for name in ("first_name", "last_name", "email"):
        setattr(person, name, checked(getattr(person, name), what="A name", limit=254))
    try:
        person.full_clean(exclude=["password"])
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was changed.") from error


def _chosen(roles: Iterable[Role]) -> list[str]:
    return sorted({Role(role).value for role in roles})


def _roles(person: User) -> list[str]:
    return sorted(group.name for group in person.groups.filter(name__in=Role.values))


def _groups(names: list[str]) -> list[Group]:
    return list(Group.objects.filter(name__in=names))


def _record(actor: Actor, person: User, name: str, **data: Any) -> None:
    trail.record(actor=actor, name=name, subject=f"person:{person.get_username()}", data=data)
