"""Who asked and who approved count while they hold the role: at the decision and at the claim."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User

from deployments.environments.policies import change_policy, decide_policy_change
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Environment, NotificationDelivery, Role
from deployments.people.accounts import change_person
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from deployments.requests.seals import approvals_given
from engine.errors import Conflict, NotApproved
from tests.deployments.world import World
from tests.fixtures.records import MakePerson


def _switched_off(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _without_the_role(user: User) -> None:
    user.groups.set(Group.objects.filter(name="viewer"))


def _deleted(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


GONE: list[Callable[[User], None]] = [_switched_off, _without_the_role, _deleted]


@pytest.mark.parametrize("leave", GONE)
def test_an_approver_who_left_before_the_last_decision_does_not_count(
    leave: Callable[[User], None], world: World, make_person: MakePerson
) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    second, third = make_person("second", "approver"), make_person("third", "approver")
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    leave(world.user("approver"))
    assert approve(actor=second, deployment=row).status == Status.AWAITING_APPROVAL
    assert approvals_given(row) == 1
    assert approve(actor=third, deployment=row).status == Status.QUEUED
    assert claim(row.pk) is not None


@pytest.mark.parametrize("leave", GONE)
def test_an_approver_who_left_before_the_claim_does_not_count(leave: Callable[[User], None], world: World) -> None:
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    leave(world.user("approver"))
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert "approver may not approve any more" in row.sentence


@pytest.mark.parametrize("leave", GONE)
def test_what_somebody_who_left_asked_for_is_withdrawn_at_its_approval(
    leave: Callable[[User], None], world: World
) -> None:
    row = world.request("operator")
    leave(world.user("operator"))
    with pytest.raises(NotApproved, match="Nobody stands behind it: operator") as refused:
        approve(actor=world.people["approver"], deployment=row)
    assert refused.value.reason == "nobody_behind_it"
    row.refresh_from_db()
    assert (row.status, row.outcome) == (Status.SUPERSEDED, "nobody_behind_it")
    event = AuditEvent.objects.get(name="deployment.withdrawn")
    assert event.subject == f"deployment:{row.pk}"
    assert event.data == {"requested_by": "operator", "seal": row.seal}


@pytest.mark.parametrize("leave", GONE)
@pytest.mark.parametrize("what", ["production", "break-glass", "test", "rollback"])
def test_what_somebody_who_left_asked_for_does_not_begin(
    what: str, leave: Callable[[User], None], world: World
) -> None:
    operator = world.people["operator"]
    if what == "rollback":
        world.succeeded(world.releases[0])
        world.succeeded(world.releases[1])
        row = request_rollback(actor=operator, environment=world.production, reason="x")
    else:
        home = world.test if what == "test" else world.production
        row = request_deployment(
            actor=operator,
            release=world.releases[1],
            environment=home,
            reason="x",
            break_glass=what == "break-glass",
        )
        if what == "production":
            approve(actor=world.people["approver"], deployment=row)
    leave(world.user("operator"))
    assert claim(row.pk) is None
    row.refresh_from_db()
    assert row.outcome == "nobody_behind_it"


@pytest.mark.parametrize("change", [{"is_active": False}, {}])
def test_switching_somebody_off_or_taking_the_role_withdraws_what_waits_at_once(
    change: dict[str, bool], world: World
) -> None:
    waiting, other = world.request("operator"), world.request("operator", "test")
    roles = [Role.OPERATOR] if change else [Role.VIEWER]
    change_person(actor=world.people["administrator"], person=world.user("operator"), changes=change, roles=roles)
    for row in (waiting, other):
        row.refresh_from_db()
        assert row.status == Status.SUPERSEDED
        assert "operator" in row.sentence
    events = AuditEvent.objects.filter(name="deployment.withdrawn")
    assert {event.actor for event in events} == {"administrator"}
    assert events.count() == 2
    assert not NotificationDelivery.objects.exists()


def test_what_others_asked_for_stays(world: World, make_person: MakePerson) -> None:
    """Also of somebody whose name begins with the same letters."""
    longer = make_person("operator2", "operator")
    row = request_deployment(actor=longer, release=world.releases[1], environment=world.production)
    change_person(
        actor=world.people["administrator"], person=world.user("operator"), changes={"is_active": False}, roles=[]
    )
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL


@pytest.mark.parametrize("leave", GONE)
def test_a_change_of_policy_that_nobody_stands_behind_is_not_applied(
    leave: Callable[[User], None], world: World
) -> None:
    change = change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="x",
    )
    assert change is not None
    leave(world.user("administrator"))
    with pytest.raises(Conflict, match="Nobody stands behind it"):
        decide_policy_change(actor=world.people["approver"], change=change, approve=True)
    assert world.production.approvals_required == 1
