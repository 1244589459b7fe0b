"""Loosening an environment's approval policy needs a second person; a team of one says so in writing."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from deployments.access.policy import token_actor
from deployments.access.team import is_alone
from deployments.access.tokens import authenticate
from deployments.core.actors import shell_actor, system_actor
from deployments.environments.locks import lock_environment, unlock_environment
from deployments.environments.policies import change_policy, decide_policy_change, withdraw_policy_change
from deployments.environments.policy_floors import floor_of, raised
from deployments.environments.settings import configure_environment
from deployments.models import AuditEvent, Environment, NotificationDelivery, PolicyChange, Role
from deployments.notifications.channels import save_channel
from deployments.people.accounts import add_person, change_person
from deployments.requests.approvals import approve
from engine.errors import Conflict, InvalidRequest, NotAllowed, NotApproved
from tests.deployments.world import PEOPLE, World
from tests.fixtures.records import hand_token

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


def _ask(world: World, who: str = "administrator", **more: Any) -> PolicyChange | None:
    wanted = {"approvals_required": 0, "approval_hours": 24, "reason": "holidays", **more}
    return change_policy(actor=world.people[who], environment=world.production, **wanted)


def _alone(world: World) -> None:
    """For longer than the trail is asked about nobody but the superuser has had a role."""
    for name in PEOPLE:
        world.user(name).groups.clear()


@pytest.mark.parametrize(
    "wanted",
    [
        {"approvals_required": 2},
        {"approvals_required": 1, "approval_hours": 1},
        {"approvals_required": 1, "max_failures": 2},
        {"approvals_required": 1, "releases_from": "tags"},
    ],
)
def test_tightening_is_applied_at_once(world: World, wanted: dict[str, Any]) -> None:
    Environment.objects.update(max_failures=3)
    assert _ask(world, **wanted) is None
    for field, value in wanted.items():
        assert getattr(world.production, field) == value
    assert AuditEvent.objects.filter(name="environment.policy_tightened").exists()


@pytest.mark.parametrize(
    "wanted",
    [
        {"approvals_required": 0},
        {"approvals_required": 1, "approval_hours": 25},
        {"approvals_required": 2, "approval_hours": 25},
        {"approvals_required": 0, "approval_hours": 1},
        {"approvals_required": 1, "max_failures": 1},
        {"approvals_required": 2, "max_failures": 100},
        {"approvals_required": 1, "releases_from": "commits"},
        {"approvals_required": 0, "releases_from": "tags"},
    ],
)
@pytest.mark.parametrize("who", ["administrator", "superuser"])
def test_loosening_waits_for_a_second_person(world: World, wanted: dict[str, int], who: str) -> None:
    change = _ask(world, who, **wanted)
    assert change is not None
    assert change.state == PolicyChange.State.WAITING
    now = world.production
    assert (now.approvals_required, now.approval_hours, now.max_failures, now.releases_from) == (1, 24, 0, "versions")
    decide_policy_change(actor=world.people["approver"], change=change, approve=True, comment="fine")
    assert {name: getattr(world.production, name) for name in change.changes} == change.changes
    event = AuditEvent.objects.get(name="environment.policy_loosened")
    assert event.actor == "approver"
    assert event.data["requested_by"] == who


def test_whoever_asked_does_not_decide_even_as_a_superuser(world: World) -> None:
    change = _ask(world, "superuser")
    assert change is not None
    with pytest.raises(NotAllowed) as refused:
        decide_policy_change(actor=world.people["superuser"], change=change, approve=True)
    assert refused.value.reason == "four_eyes"
    assert world.production.approvals_required == 1


def test_tokens_and_the_shell_decide_about_no_policy(world: World) -> None:
    change = _ask(world)
    assert change is not None
    token = authenticate(hand_token(world.user("approver"), "all"))
    assert token is not None
    for actor in (token_actor(token), shell_actor("root"), system_actor("schedule")):
        with pytest.raises(NotAllowed):
            decide_policy_change(actor=actor, change=change, approve=True)


def test_a_refusal_and_a_withdrawal_change_nothing(world: World) -> None:
    change = _ask(world)
    assert change is not None
    with pytest.raises(InvalidRequest):
        decide_policy_change(actor=world.people["approver"], change=change, approve=False)
    decide_policy_change(actor=world.people["approver"], change=change, approve=False, comment="no")
    again = _ask(world)
    assert again is not None
    withdraw_policy_change(actor=world.people["administrator"], change=again)
    with pytest.raises(Conflict):
        decide_policy_change(actor=world.people["approver"], change=again, approve=True)
    assert world.production.approvals_required == 1
    names = AuditEvent.objects.filter(subject="environment:production").values_list("name", flat=True)
    assert {"environment.policy_change_refused", "environment.policy_change_withdrawn"} <= set(names)


def test_one_change_waits_at_a_time(world: World) -> None:
    _ask(world)
    with pytest.raises(Conflict) as refused:
        _ask(world, "superuser")
    assert refused.value.reason == "change_waits"


def test_consent_to_what_is_no_longer_so_is_refused(world: World) -> None:
    change = _ask(world)
    assert change is not None
    _ask(world, approvals_required=3)
    with pytest.raises(Conflict) as refused:
        decide_policy_change(actor=world.people["approver"], change=change, approve=True)
    assert refused.value.reason == "outdated"
    assert world.production.approvals_required == 3


def test_a_loosened_policy_voids_what_waits_under_the_old_one(world: World) -> None:
    row = world.request()
    change = _ask(world, "superuser")
    assert change is not None
    decide_policy_change(actor=world.people["approver"], change=change, approve=True)
    with pytest.raises(NotApproved, match=r"The policy changed: approvals_required\."):
        approve(actor=world.people["approver"], deployment=row)


def test_a_team_of_one_loosens_by_writing_the_name_of_the_environment(world: World) -> None:
    values: dict[str, object] = {
        "name": "all",
        "url": "json://localhost/x",
        "environment": None,
        "events": [],
        "enabled": True,
    }
    save_channel(actor=world.people["superuser"], channel=None, values=values)
    _alone(world)
    assert is_alone(world.people["superuser"])
    for wrong in ("", "Production", "yes"):
        with pytest.raises(InvalidRequest) as refused:
            _ask(world, "superuser", confirmation=wrong)
        assert refused.value.reason == "confirmation_needed"
    assert _ask(world, "superuser", confirmation="production") is None
    assert world.production.approvals_required == 0
    event = AuditEvent.objects.get(name="environment.policy_loosened_alone")
    assert event.data == {"changes": {"approvals_required": [1, 0]}, "reason": "holidays"}
    told = NotificationDelivery.objects.get(event="policy")
    assert told.title == "production: approval policy changed by superuser"


def test_with_two_people_a_written_name_does_not_help(world: World) -> None:
    _alone(world)
    change_person(actor=world.people["superuser"], person=world.user("viewer"), changes={}, roles=[Role.VIEWER])
    assert _ask(world, "superuser", confirmation="production") is not None


@pytest.mark.parametrize("how", ["switched off", "without roles", "added and switched off", "acted"])
def test_a_team_of_one_is_not_made_by_switching_everybody_off(how: str, world: World) -> None:
    me = world.people["superuser"]
    for name in PEOPLE:
        if how in ("switched off", "without roles"):
            off = {"is_active": False} if how == "switched off" else {}
            change_person(actor=me, person=world.user(name), changes=off, roles=[])
        else:
            world.user(name).groups.clear()
    if how == "added and switched off":
        made = add_person(actor=me, username="brief", roles=[Role.VIEWER])
        User.objects.filter(pk=made.pk).update(is_active=False)
    if how == "acted":
        lock_environment(actor=world.people["operator"], environment=world.test, reason="x")
    assert not is_alone(me)
    assert _ask(world, "superuser", confirmation="production") is not None
    assert world.production.approvals_required == 1
    assert is_alone(me, now=timezone.now() + timedelta(days=31)), "after thirty days nobody else is there any more"


def test_an_account_without_a_role_makes_no_team(world: World) -> None:
    _alone(world)
    person = add_person(actor=world.people["superuser"], username="guest", roles=[])
    change_person(actor=world.people["superuser"], person=person, changes={"email": "guest@example.org"}, roles=[])
    assert is_alone(world.people["superuser"])
    assert world.production.approvals_required == 1


def test_a_token_of_a_team_of_one_is_not_its_member(world: World) -> None:
    _alone(world)
    token = authenticate(hand_token(world.user("superuser"), "all"))
    assert token is not None
    change = change_policy(
        actor=token_actor(token),
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="x",
        confirmation="production",
    )
    assert change is not None


@pytest.mark.parametrize(
    "wanted",
    [
        {"approvals_required": 11},
        {"approvals_required": -1},
        {"approval_hours": 0},
        {"max_failures": 101},
        {"max_failures": -1},
        {"releases_from": "anywhere"},
    ],
)
def test_impossible_policies_are_refused(world: World, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        _ask(world, **wanted)


@pytest.mark.parametrize("field", ["approvals_required", "max_failures", "releases_from"])
def test_a_policy_cannot_be_changed_as_configuration(world: World, field: str) -> None:
    with pytest.raises(InvalidRequest):
        configure_environment(actor=world.people["administrator"], environment=world.production, changes={field: 1})


def test_a_page_loosens_nothing_alone_and_shows_what_is_asked_for(world: World) -> None:
    where = reverse("admin:deployments_environment_change", args=[world.production.pk])
    sent = {"configuration": "{}", "bake_seconds": 9, "bake_action": "rollback", "order": 1, "batch": 10}
    client = world.client("administrator")
    client.post(where, {**sent, "max_failures": 5})
    assert (world.production.bake_seconds, world.production.max_failures) == (9, 0)
    asked = {"approvals_required": 1, "approval_hours": 24, "max_failures": 5, "reason": "many servers"}
    asked |= {"releases_from": "versions"}
    address = reverse("admin:deployments_environment_policy", args=[world.production.pk])
    assert (
        "A second person has to agree: max failures 0 → 5." in client.post(address, asked, follow=True).content.decode()
    )
    assert world.production.max_failures == 0


def test_another_name_keeps_no_more_failures_than_the_strictest_allows(world: World) -> None:
    Environment.objects.filter(name="test").update(max_failures=9)
    assert raised(world.test, floor_of(world.test.application))["max_failures"] == 0


def test_another_name_takes_no_more_kinds_of_releases_than_the_strictest(world: World) -> None:
    assert world.test.releases_from == "commits", "in a new portal"
    assert raised(world.test, floor_of(world.test.application))["releases_from"] == "versions"


def test_where_nobody_consents_other_releases_loosen_nothing(world: World) -> None:
    wanted: dict[str, Any] = {"approvals_required": 0, "approval_hours": 24, "reason": "we tag everything"}
    for kind in ("tags", "commits"):
        assert (
            change_policy(actor=world.people["administrator"], environment=world.test, releases_from=kind, **wanted)
            is None
        )
        assert world.test.releases_from == kind


def test_configuration_edits_are_told_field_by_field_and_hold_no_secret(world: World) -> None:
    from deployments.models import Secret

    admin = world.people["administrator"]
    Secret.objects.create(environment=world.test, name="word", version=1, value="hunter2-hunter2", created_by="x")
    changes = {"configuration": {"dice.json": {"sides": 12}}, "bake_seconds": 60}
    configure_environment(actor=admin, environment=world.test, changes=changes)
    event = AuditEvent.objects.get(name="environment.configured")
    assert event.data == {
        "changes": {"configuration.dice.json": [None, {"sides": 12}], "bake_seconds": [300, 60]},
    }
    with pytest.raises(InvalidRequest) as refused:
        configure_environment(
            actor=admin, environment=world.test, changes={"configuration": {"dice.json": {"token": "hunter2-hunter2"}}}
        )
    assert refused.value.reason == "secret_in_configuration"
    wrongs: list[object] = [{"dice.json": 3}, [], "x"]
    for wrong in wrongs:
        with pytest.raises(InvalidRequest):
            configure_environment(actor=admin, environment=world.test, changes={"configuration": wrong})
    assert Environment.objects.get(name="test").configuration == {"dice.json": {"sides": 12}}


@pytest.mark.parametrize(
    ("value", "held"),
    [
        ("back\\slash", "x back\\slash y"),
        ("a'quote\"both", "a'quote\"both"),
        ("tab\there", "tab\there"),
        ("first line\nsecond line of it", "second line of it"),
        ("12345678", 12345678),
        ("a-key-of-it", {"a-key-of-it": 1}),
        ("deep-inside", [1, [{"x": ["so deep-inside it"]}]]),
    ],
)
def test_no_secret_is_in_the_configuration_whichever_comes_first(world: World, value: str, held: object) -> None:
    from deployments.environments.secrets import set_secret
    from deployments.models import Secret

    admin = world.people["administrator"]
    changes = {"configuration": {"dice.json": {"token": held}}}
    secret = Secret.objects.create(environment=world.test, name="word", version=1, value=value, created_by="x")
    with pytest.raises(InvalidRequest) as refused:
        configure_environment(actor=admin, environment=world.test, changes=changes)
    assert refused.value.reason == "secret_in_configuration"
    secret.delete()
    configure_environment(actor=admin, environment=world.test, changes=changes)
    with pytest.raises(InvalidRequest) as refused:
        set_secret(actor=admin, environment=Environment.objects.get(pk=world.test.pk), name="word", value=value)
    assert refused.value.reason == "secret_in_configuration"
    assert not Secret.objects.exists()


def test_saving_nothing_new_is_no_event(world: World) -> None:
    configure_environment(
        actor=world.people["administrator"], environment=world.test, changes={"configuration": {}, "bake_seconds": 300}
    )
    assert not AuditEvent.objects.filter(name="environment.configured").exists()


def test_locks_say_who_and_why_and_are_lifted_with_a_reason(world: World) -> None:
    operator = world.people["operator"]
    with pytest.raises(InvalidRequest):
        lock_environment(actor=operator, environment=world.production, reason="")
    lock_environment(actor=operator, environment=world.production, reason="exams")
    with pytest.raises(Conflict):
        lock_environment(actor=operator, environment=world.production, reason="again")
    assert (world.production.locked_by, world.production.lock_reason) == ("operator", "exams")
    unlock_environment(actor=world.people["superuser"], environment=world.production, reason="over")
    with pytest.raises(Conflict):
        unlock_environment(actor=operator, environment=world.production, reason="over")
    event = AuditEvent.objects.get(name="environment.unlocked")
    assert event.data["was_locked"]["because"] == "exams"
