"""What was taken back for being bad begins nowhere by itself; what a rehearsal does says nothing about a release."""

import pytest

from deployments.drills.drills import drill_rollback
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import Deployment, Release, Server
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.requests.rollback_targets import rollback_target
from deployments.requests.rollbacks import request_rollback
from engine.errors import PortalError
from tests.deployments.drills.test_drills import carry_out
from tests.deployments.world import World


@pytest.fixture
def lived_in(world: World) -> World:
    """Both environments ran the first release, then the second."""
    for environment in ("test", "production"):
        for release in world.releases:
            world.succeeded(release, environment)
    return world


def back(world: World, environment: str = "production") -> Deployment:
    there = getattr(world, environment)
    return carry_out(request_rollback(actor=world.people["operator"], environment=there, reason="it is bad"))


def ask(world: World, environment: str = "production", reason: str = "mended outside") -> Deployment:
    return request_deployment(
        actor=world.people["operator"],
        release=world.releases[1],
        environment=getattr(world, environment),
        reason=reason,
    )


def again(world: World, environment: str = "production") -> Deployment:
    row = ask(world, environment)
    if row.status == Status.AWAITING_APPROVAL:
        approve(actor=world.people["approver"], deployment=row)
    return carry_out(Deployment.objects.get(pk=row.pk))


def condemned(world: World) -> bool:
    return Release.objects.get(pk=world.releases[1].pk).quarantined


def production_went_on_to_the_first(world: World) -> None:
    rows = Deployment.objects.filter(environment=world.production, release=world.releases[0])
    rows.update(finished_at="2030-01-01T00:00Z")
    Server.objects.filter(environment=world.production).update(current_release=world.releases[0])
    assert rollback_target(world.production) == world.releases[1]


def test_it_ends_where_the_release_was_taken_back_and_nowhere_else(lived_in: World) -> None:
    back(lived_in)
    again(lived_in, "test")
    assert condemned(lived_in)
    again(lived_in)
    assert not condemned(lived_in)


def test_one_person_alone_ends_it_by_no_broken_glass(lived_in: World) -> None:
    back(lived_in)
    row = request_deployment(
        actor=lived_in.people["requester"],
        release=lived_in.releases[1],
        environment=lived_in.production,
        reason="now",
        break_glass=True,
    )
    carry_out(Deployment.objects.get(pk=row.pk))
    assert condemned(lived_in)


def test_neither_a_drill_elsewhere_nor_what_was_made_good_there_keeps_it(lived_in: World) -> None:
    drill = drill_rollback(actor=lived_in.people["operator"], environment=lived_in.test, carry_out=carry_out)
    assert drill.passed
    back(lived_in, "test")
    again(lived_in, "test")
    assert not condemned(lived_in)
    back(lived_in)
    again(lived_in)
    assert not condemned(lived_in)


def test_a_drill_condemns_nothing_and_takes_back_no_condemnation(lived_in: World) -> None:
    during: list[bool] = []

    def carried_out(row: Deployment) -> Deployment:
        carry_out(row)
        during.append(condemned(lived_in))
        if len(during) == 1:
            back(lived_in)  # production finds out meanwhile that it is bad
        return row

    drill_rollback(actor=lived_in.people["operator"], environment=lived_in.test, carry_out=carried_out)
    assert during == [False, True]
    assert condemned(lived_in)


def test_a_drill_elsewhere_leaves_production_its_way_back(lived_in: World) -> None:
    production_went_on_to_the_first(lived_in)
    targets = []

    def carried_out(row: Deployment) -> Deployment:
        carry_out(row)
        targets.append(rollback_target(lived_in.production))
        return row

    drill_rollback(actor=lived_in.people["operator"], environment=lived_in.test, carry_out=carried_out)
    assert targets == [lived_in.releases[1]] * 2


@pytest.mark.parametrize("approved", [False, True])
def test_what_was_asked_for_or_agreed_to_before_begins_no_more(lived_in: World, approved: bool) -> None:
    row = ask(lived_in, reason="")
    if approved:
        approve(actor=lived_in.people["approver"], deployment=row)
    back(lived_in, "test")
    if not approved:
        with pytest.raises(PortalError, match="went into quarantine after it was asked for: it is bad"):
            approve(actor=lived_in.people["approver"], deployment=Deployment.objects.get(pk=row.pk))
    assert claim(row.pk) is None
    assert Deployment.objects.get(pk=row.pk).status == Status.SUPERSEDED


def test_nor_does_a_rollback_that_waits(lived_in: World) -> None:
    production_went_on_to_the_first(lived_in)
    row = request_rollback(actor=lived_in.people["operator"], environment=lived_in.production, reason="x")
    back(lived_in, "test")
    assert claim(row.pk) is None
