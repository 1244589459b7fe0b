"""Accounts and their roles. Accounts are never deleted, only switched off: the record keeps naming people."""

from collections.abc import Iterable, Mapping
from typing import Any

from axes.utils import reset
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.team import administrators
from deployments.access.tokens import revoke_tokens_of
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Approval, Role
from deployments.people.signing_keys import revoke_keys_of
from deployments.requests.approvals import void_consents
from deployments.requests.requests import withdraw_orphans
from engine.errors import Conflict, InvalidRequest, NotAllowed

"""How long nobody else may have had a role before somebody counts as a team of one."""
FIELDS = ("first_name", "last_name", "email", "is_active")


def add_person(
    *,
    actor: Actor,
    username: str,
    password: str,
    roles: Iterable[Role],
    first_name: str = "",
    last_name: str = "",
    email: str = "",
) -> User:
    """Make an account. Raises NotAllowed, InvalidRequest (name taken or unusable, weak password)."""
    require(actor, "manage_people")
    chosen = _chosen(roles)
    person = User(username=username, first_name=first_name, last_name=last_name, email=email)
    person.is_staff = bool(chosen)
    with transaction.atomic():
        _set_password(person, password)
        _clean(person)
        person.save()
        person.groups.set(_groups(chosen))
        _record(actor, person, "person.added", roles=chosen, email=email)
    return person


def change_person(*, actor: Actor, person: User, changes: Mapping[str, Any], roles: Iterable[Role]) -> User:
    """Change an account's FIELDS and roles; what differs is in the audit trail. Somebody must remain administrator.

    What the person asked for and may not ask for any more is withdrawn, unless it has begun. Switched off, they lose
    their tokens and sessions for good.
    Raises NotAllowed, InvalidRequest, Conflict (the last administrator).
    """
    require(actor, "manage_people")
    chosen = _chosen(roles)
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise InvalidRequest(f"Not a field of an account: {', '.join(unknown)}.")
    with transaction.atomic():
        locked = User.objects.select_for_update(no_key=True).get(pk=person.pk)
        before = {name: getattr(locked, name) for name in changes} | {"roles": _roles(locked)}
        for name, value in changes.items():
            setattr(locked, name, value)
        locked.is_staff = bool(chosen) or locked.is_superuser
        _clean(locked)
        locked.save(update_fields=[*changes, "is_staff"])
        locked.groups.set(_groups(chosen))
        differing = trail.changes(before, {**changes, "roles": chosen})
        if not administrators().exists():
            raise Conflict(
                f"{locked.get_username()} is the last administrator.",
                hint="Make somebody else an administrator first.",
                reason="last_administrator",
            )
        if differing:
            _record(actor, locked, "person.changed", changes=differing)
            withdraw_orphans(actor=actor, person=locked.get_username())
            if not locked.is_active:
                revoke_tokens_of(actor=actor, person=locked)
                revoke_keys_of(actor=actor, person=locked.get_username())
                _end_sessions(locked)
    person.refresh_from_db()
    return person


def set_password(*, actor: Actor, person: User, password: str) -> None:
    """Give somebody a new password; it ends their sessions and tokens, and requests that wait with their consent.

    Raises NotAllowed, InvalidRequest.
    """
    require(actor, "manage_people")
    with transaction.atomic():
        _set_password(person, password)
        person.save(update_fields=["password"])
        _record(actor, person, "person.password_set")
        revoke_tokens_of(actor=actor, person=person)
        name = person.get_username()
        why = f"An administrator recovered the account of {name}, who had approved it."
        void_consents(actor=actor, given=Approval.objects.filter(actor=name), why=why)


def change_own_password(*, actor: Actor, person: User, old: str, password: str) -> None:
    """Somebody's own new password. Raises NotAllowed when `old` is wrong or it is somebody else's account."""
    if actor.kind != "user" or actor.identity != person.get_username():
        raise NotAllowed("A password is changed by whoever it belongs to.", hint="Ask an administrator.")
    if not person.check_password(old):
        raise NotAllowed("The old password is not right.", reason="wrong_password")
    with transaction.atomic():
        _set_password(person, password)
        person.save(update_fields=["password"])
        _record(actor, person, "person.password_changed")


def clear_lock_out(*, actor: Actor, username: str) -> None:
    """Forget the failed sign-ins of a name, so that its next try is allowed."""
    require(actor, "manage_people")
    with transaction.atomic():
        reset(username=username)
        trail.record(actor=actor, name="person.let_in", subject=f"person:{username}")


def _end_sessions(person: User) -> None:
    """Else they would live again with the account."""
    for session in Session.objects.filter(expire_date__gte=timezone.now()):
        if session.get_decoded().get(SESSION_KEY) == str(person.pk):
            session.delete()


def _set_password(person: User, password: str) -> None:
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise InvalidRequest(
            " ".join(error.messages), hint="Choose another password.", reason="weak_password"
        ) from error
    person.set_password(password)


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
