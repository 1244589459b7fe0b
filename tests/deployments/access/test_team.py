"""Who is alone, who may do what, and whom to ask."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from deployments.access.team import administrators, is_alone, people_with_roles, who_may, whom_to_ask
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor, shell_actor, system_actor
from deployments.models import Application
from tests.fixtures.records import MakePerson


@pytest.fixture
def ann(make_person: MakePerson) -> Actor:
    """The only one with a role; others have accounts."""
    make_person("without")
    return make_person("ann", "administrator")


def record(actor: Actor, name: str, subject: str, **data: Any) -> None:
    with transaction.atomic():
        trail.record(actor=actor, name=name, subject=subject, data=data)


def test_who_has_the_only_role_is_alone_signed_in_and_by_no_token(ann: Actor) -> None:
    assert is_alone(ann)
    assert not is_alone(replace(ann, kind="token", person="ann"))
    assert not is_alone(replace(ann, name="without", person="without"))


@pytest.mark.parametrize("other", [{"roles": ["viewer"]}, {"superuser": True}])
def test_nobody_is_alone_beside_somebody_with_a_role_or_a_superuser(
    ann: Actor, make_person: MakePerson, other: dict[str, Any]
) -> None:
    make_person("ben", *other.get("roles", ()), superuser=other.get("superuser", False))
    assert not is_alone(ann)
    assert is_alone(ann, beside="ben")
    User.objects.filter(username="ben").update(is_active=False)
    assert is_alone(ann)


def test_whoever_acted_within_thirty_days_counts_though_they_have_no_role_now(ann: Actor) -> None:
    record(shell_actor("root"), "environment.locked", "environment:test")
    record(system_actor("reaper"), "environment.locked", "environment:test")
    record(ann, "environment.locked", "environment:test")
    assert is_alone(ann)
    record(Actor("token", "ci", person="ben"), "environment.unlocked", "environment:test")
    assert not is_alone(ann)
    assert is_alone(ann, beside="ben")
    assert not is_alone(ann, now=timezone.now() + timedelta(days=29))
    assert is_alone(ann, now=timezone.now() + timedelta(days=31))


@pytest.mark.parametrize(
    ("name", "data", "alone"),
    [
        ("person.added", {"roles": ["viewer"]}, False),
        ("person.added", {"roles": []}, True),
        ("person.changed", {"changes": {"roles": [["viewer"], []]}}, False),
        ("person.changed", {"changes": {"roles": [[], ["viewer"]]}}, False),
        ("person.changed", {"changes": {"is_active": [True, False]}}, False),
        ("person.changed", {"changes": {"email": ["a@example.org", ""]}}, True),
        ("person.vouched_for", {"roles": ["viewer"]}, True),
    ],
)
def test_an_account_that_had_a_role_within_thirty_days_counts(
    ann: Actor, name: str, data: dict[str, Any], alone: bool
) -> None:
    record(ann, name, "person:ann", **data)
    assert is_alone(ann), "their own account"
    record(ann, name, "person:ben", **data)
    assert is_alone(ann) is alone
    assert is_alone(ann, beside="ben")
    assert is_alone(ann, now=timezone.now() + timedelta(days=31))


def test_who_may_is_everybody_in_order_whose_role_permits_it(make_person: MakePerson) -> None:
    for name, role in (("zoe", "operator"), ("ben", "operator"), ("cat", "approver"), ("dan", "viewer")):
        make_person(name, role)
    make_person("sue", superuser=True)
    make_person("gone", "operator", "approver")
    User.objects.filter(username="gone").update(is_active=False)
    assert who_may(Verb.REQUEST) == ["ben", "sue", "zoe"]
    assert who_may(Verb.APPROVE) == ["cat", "sue"]
    assert set(people_with_roles().values_list("username", flat=True)) == {"zoe", "ben", "cat", "dan", "sue"}


def test_whom_to_ask_is_said_by_name_and_role(make_person: MakePerson) -> None:
    assert whom_to_ask(Verb.APPROVE) == "Nobody may do this yet: it takes the role approver."
    make_person("cat", "approver")
    make_person("ben", "administrator", "viewer")
    assert whom_to_ask(Verb.APPROVE) == "cat may do this: it takes the role approver."
    assert whom_to_ask(Verb.CONFIRM_KEY) == "ben or cat may do this: it takes the role administrator or approver."


def test_roles_are_given_by_administrators_of_everything(make_person: MakePerson) -> None:
    make_person("ben", "administrator")
    make_person("tea", "administrator")
    make_person("cat", "operator")
    make_person("sue", superuser=True)
    Application.objects.create(name="tea-bot").people.add(User.objects.get(username="tea"))
    assert set(administrators().values_list("username", flat=True)) == {"ben", "sue"}
    User.objects.get(username="cat").groups.add(Group.objects.get(name="administrator"))
    User.objects.filter(username="ben").update(is_active=False)
    assert set(administrators().values_list("username", flat=True)) == {"cat", "sue"}
