"""Two of everything: people whose roles hold in one application, and channels of one, beside another."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User

from deployments.access.policy import may, may_somewhere, still_may, user_actor
from deployments.access.team import administrators
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.environments.applications import bind
from deployments.environments.registry import add_environment
from deployments.lifecycle import Status
from deployments.models import Application, Deployment, Environment, NotificationDelivery, Role, Scope
from deployments.notifications.channels import delete_channel, save_channel
from deployments.notifications.channels import test_channel as send_test
from deployments.notifications.messages import notify_environment
from deployments.people.accounts import change_person
from deployments.requests.approvals import approve
from deployments.requests.audit_evidence import Evidence
from deployments.requests.requests import request_deployment
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
READS = {Verb.VIEW, Verb.READ_AUDIT}
WHEREVER = READS | {Verb.OWN_TOKEN, Verb.OWN_KEY, Verb.ADD_RELEASE}
"""What one may whose roles hold in some applications only, where no application is named."""


@pytest.fixture
def two(world: World) -> World:
    """`test` and `production` of two applications."""
    for environment in (world.test, world.production):
        bind(environment, "dice-bot")
    for name in ("test", "production"):
        add_environment(actor=world.people["administrator"], application="tea-bot", name=name)
    return world


def home(application: str, name: str = "production") -> Environment:
    return Environment.objects.get(application=application, name=name)


def narrowed(world: World, who: str, *applications: str) -> Actor:
    person = world.user(who)
    roles = [Role(name) for name in person.groups.values_list("name", flat=True)]
    rows = Application.objects.filter(name__in=applications)
    change_person(actor=world.people["superuser"], person=person, changes={}, roles=roles, applications=rows)
    return user_actor(world.user(who))


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", ["user", "token"])
@pytest.mark.django_db
def test_every_verb_asks_in_which_application(verb: Verb, role: Role, kind: str) -> None:
    scopes = frozenset(Scope) if kind == "token" else None
    everywhere = Actor(kind, "ann", frozenset({role}), scopes, person="ann")  # type: ignore[arg-type]  # the table writes words
    here = replace(everywhere, applications=frozenset({"dice-bot"}))
    ours, theirs, nobodys = (Environment(application=name, name="live", pk=1) for name in ("dice-bot", "tea-bot", ""))
    allowed = may(everywhere, verb, ours)
    assert may(here, verb, ours) == allowed
    assert may(here, verb, application="dice-bot") == allowed
    assert may(here, verb, theirs) == (allowed and verb in READS)
    assert may(here, verb, nobodys) == (allowed and verb in READS)
    assert may(here, verb, application="tea-bot") == (allowed and verb in READS)
    assert may(here, verb) == (allowed and verb in WHEREVER)


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.django_db
def test_a_token_for_one_environment_does_nothing_to_the_portal_or_to_what_is_of_no_environment(verb: Verb) -> None:
    everywhere = Actor("token", "ci", frozenset(Role), frozenset(Scope), person="ann")
    bound = replace(everywhere, environment_id=1)
    ours, theirs = (Environment(application="dice-bot", name=name, pk=key) for key, name in ((1, "live"), (2, "test")))
    allowed = may(everywhere, verb, ours)
    assert may(bound, verb, ours) == allowed
    assert not may(bound, verb, theirs)
    for application in (None, "dice-bot"):
        assert may(bound, verb, application=application) == (allowed and verb in WHEREVER)
    assert may_somewhere(bound, verb) == allowed


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.django_db
def test_what_one_may_in_one_application_is_offered_before_it_is_named(verb: Verb) -> None:
    everywhere = Actor("user", "ann", frozenset(Role), person="ann")
    assert may_somewhere(replace(everywhere, applications=frozenset({"dice-bot"})), verb)
    assert not may_somewhere(Actor("user", "ann", person="ann", applications=frozenset({"dice-bot"})), verb)


def request(two: World) -> Deployment:
    """What a colleague asked for."""
    return request_deployment(
        actor=two.people["colleague"], release=two.releases[1], environment=home("dice-bot"), reason="because"
    )


def test_roles_hold_where_they_were_given(two: World) -> None:
    assert narrowed(two, "operator").applications is None
    operator = narrowed(two, "operator", "tea-bot")
    assert may(operator, Verb.REQUEST, home("tea-bot"))
    assert not may(operator, Verb.REQUEST, home("dice-bot"))
    assert still_may("operator", Verb.REQUEST, home("tea-bot"))
    assert not still_may("operator", Verb.REQUEST, home("dice-bot"))
    assert not still_may("operator/token:ci", Verb.REQUEST, home("dice-bot"))
    assert all(still_may(who, Verb.REQUEST, home("dice-bot")) for who in ("shell:root", "system:queue"))
    superuser = two.people["superuser"]
    assert superuser.applications is None


def test_an_approval_counts_while_it_is_the_applications_approver(two: World) -> None:
    waiting = request(two)
    approver = narrowed(two, "approver", "tea-bot")
    with pytest.raises(NotAllowed, match="hold in tea-bot alone"):
        approve(actor=approver, deployment=waiting)
    approve(actor=narrowed(two, "approver", "dice-bot"), deployment=waiting)
    assert Deployment.objects.get(pk=waiting.pk).status == Status.QUEUED
    narrowed(two, "approver", "tea-bot")
    assert Evidence.of(Deployment.objects.get(pk=waiting.pk)).standing_approvers() == set()


def test_what_somebody_asked_for_elsewhere_is_withdrawn_when_their_roles_are_narrowed(two: World) -> None:
    waiting = request(two)
    narrowed(two, "colleague", "tea-bot")
    assert Deployment.objects.get(pk=waiting.pk).status == Status.SUPERSEDED


def test_the_last_administrator_of_everything_stays_one(two: World) -> None:
    User.objects.filter(is_superuser=True).update(is_active=False)
    for who in ("requester", "colleague"):
        two.user(who).groups.clear()
    person, rows = two.user("administrator"), Application.objects.filter(name="tea-bot")
    assert list(administrators()) == [person]
    with pytest.raises(Conflict, match="last administrator"):
        change_person(
            actor=two.people["administrator"], person=person, changes={}, roles=[Role.ADMINISTRATOR], applications=rows
        )


def _channel(two: World, who: Actor, name: str, application: str | None) -> object:
    row = Application.objects.get(name=application) if application else None
    values: dict[str, Any] = {
        "name": name,
        "url": "json://127.0.0.1:1",
        "application": row,
        "environment": None,
        "events": [],
    }
    return save_channel(actor=who, channel=None, values={**values, "enabled": True})


def test_a_channel_of_one_application_hears_of_no_other(two: World) -> None:
    administrator = two.people["administrator"]
    for name, application in (("all", None), ("dice", "dice-bot"), ("tea", "tea-bot")):
        _channel(two, administrator, name, application)
    NotificationDelivery.objects.all().delete()
    notify_environment(home("tea-bot"), "locked", what="locked", lines=[])
    assert set(NotificationDelivery.objects.values_list("channel__name", flat=True)) == {"all", "tea"}


@pytest.mark.parametrize("theirs", ["dice-bot", None])
def test_channels_of_others_are_nobodys_business(two: World, theirs: str | None) -> None:
    """Also not by making one one's own: it takes the right to what it was, and to what it becomes."""
    channel = _channel(two, two.people["administrator"], "theirs", theirs)
    tea = narrowed(two, "administrator", "tea-bot")
    own = Application.objects.get(name="tea-bot")
    attempts: list[Callable[[], object]] = [
        lambda: save_channel(actor=tea, channel=channel, values={"application": own}),  # type: ignore[arg-type]  # the table writes words
        lambda: delete_channel(actor=tea, channel=channel),  # type: ignore[arg-type]  # the table writes words
        lambda: send_test(actor=tea, channel=channel),  # type: ignore[arg-type]  # the table writes words
        lambda: _channel(two, tea, "new", theirs),
    ]
    for attempt in attempts:
        with pytest.raises(NotAllowed):
            attempt()
    assert _channel(two, tea, "ours", "tea-bot")
    with pytest.raises(InvalidRequest, match="no environment of"):
        save_channel(
            actor=two.people["superuser"],
            channel=None,
            values={"name": "x", "url": "json://127.0.0.1:1", "application": own, "environment": home("dice-bot")},
        )


def test_an_administrator_of_one_application_makes_environments_for_it_alone(two: World) -> None:
    tea = narrowed(two, "administrator", "tea-bot")
    assert add_environment(actor=tea, application="tea-bot", name="staging")
    for application in ("dice-bot", "new-bot"):
        with pytest.raises(NotAllowed):
            add_environment(actor=tea, application=application, name="mine")
