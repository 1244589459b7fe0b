"""The plan that a server's agent carries out: every word of it from the sealed snapshot, the record and the release."""

from collections.abc import Iterator, Sequence

import pytest

from deployments.execution.claims import claim
from deployments.execution.host_plans import MARGIN_SECONDS, PRUNE_SECONDS, HostPlans
from deployments.models import Approval, Deployment, Server, Target
from deployments.releases.artifacts import manifest_on_servers, open_release
from deployments.requests.approvals import approve
from deployments.requests.rollbacks import request_rollback
from deployments.snapshot import SealedHook
from engine.artifacts.artifact import ArtifactReader
from engine.remote import BaseRelease, HookPlan
from tests.deployments.world import World

LONG = 100_000.0


def claimed(row: Deployment) -> Deployment:
    found = claim(row.pk)
    assert found is not None
    return found.deployment


@pytest.fixture
def deployment(world: World) -> Deployment:
    """Production ran the first release, and a worker has a deployment of the second one."""
    world.succeeded(world.releases[0])
    row = world.request(reason="it says more")
    approve(actor=world.people["approver"], deployment=row)
    Approval.objects.create(deployment=row, actor="olga", decision=Approval.Decision.REJECTED, seal=row.seal)
    Approval.objects.create(
        deployment=world.request(environment="test"), actor="otto", decision=Approval.Decision.APPROVED, seal=row.seal
    )
    return claimed(row)


@pytest.fixture
def reader(deployment: Deployment) -> Iterator[ArtifactReader]:
    with open_release(deployment.release) as reader:
        yield reader


def only_target(deployment: Deployment) -> Target:
    return deployment.targets.select_related("server__current_release", "server__previous_release").get()


def test_a_plan_says_what_where_until_when_and_who_wanted_it(
    world: World, deployment: Deployment, reader: ArtifactReader
) -> None:
    plan = HostPlans(deployment, reader).plan(only_target(deployment), fence=7, within=LONG)
    old, new = world.releases
    assert (plan.name, plan.deployment, plan.fence, plan.takeover) == ("dice-bot", str(deployment.pk), 7, False)
    assert (plan.release, plan.version, plan.python) == (new.identifier, "1.1.0", "3.11")
    assert plan.manifest == manifest_on_servers(new, ["bot"]).files
    assert plan.base == BaseRelease(old.identifier, manifest_on_servers(old, ["bot"]).files)
    assert [role.role for role in plan.roles] == ["bot"]
    assert plan.config == deployment.sealed.configuration.contents
    assert b"dice" in plan.config["dice.json"]
    assert (plan.actor, plan.approved_by, plan.reason) == ("colleague", ["approver"], "it says more")
    assert plan.deadlines == {**reader.deploy.deadlines.model_dump(), "prune": PRUNE_SECONDS}
    assert plan.deadline == sum(plan.deadlines.values()) + MARGIN_SECONDS
    assert (plan.keep, plan.keep_backups, plan.backup_days) == (
        reader.deploy.keep,
        reader.deploy.backups.keep,
        reader.deploy.backups.days,
    )
    assert plan.pins == [old.identifier]
    assert plan.hooks == []


def test_it_takes_no_longer_than_its_round_has_left(deployment: Deployment, reader: ArtifactReader) -> None:
    assert HostPlans(deployment, reader).plan(only_target(deployment), fence=7, within=5.0).deadline == 5.0


def test_what_ran_before_and_the_way_back_are_kept_each_once(
    world: World, deployment: Deployment, reader: ArtifactReader
) -> None:
    old, new = world.releases
    Server.objects.filter(name="production-1").update(current_release=new, previous_release=new)
    world.succeeded(new)
    plan = HostPlans(deployment, reader).plan(only_target(deployment), fence=7, within=LONG)
    assert plan.pins == [new.identifier, old.identifier]
    Server.objects.filter(name="production-1").update(current_release=None, previous_release=old)
    plan = HostPlans(deployment, reader).plan(only_target(deployment), fence=7, within=LONG)
    assert plan.pins == [old.identifier]


def test_a_rollback_takes_over_from_what_is_under_way(world: World) -> None:
    for release in world.releases:
        world.succeeded(release, "test")
    row = request_rollback(actor=world.people["operator"], environment=world.test, reason="it hangs")
    deployment = claimed(row)
    with open_release(deployment.release) as reader:
        plan = HostPlans(deployment, reader).plan(only_target(deployment), fence=8, within=LONG)
    assert (plan.takeover, plan.release, plan.approved_by) == (True, world.releases[0].identifier, [])
    assert plan.base is not None
    assert plan.base.release == world.releases[1].identifier


def test_where_nothing_ran_everything_travels(world: World) -> None:
    deployment = claimed(world.request(environment="test"))
    with open_release(deployment.release) as reader:
        plan = HostPlans(deployment, reader).plan(only_target(deployment), fence=1, within=LONG)
    assert (plan.base, plan.pins) == (None, [])


def test_files_that_several_servers_are_sent_are_read_once(
    deployment: Deployment, reader: ArtifactReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, ...]] = []
    tar_of = reader.tar_of

    def noted(paths: Sequence[str]) -> Iterator[bytes]:
        read.append(tuple(paths))
        return tar_of(paths)

    monkeypatch.setattr(reader, "tar_of", noted)
    plans, (sealed,) = HostPlans(deployment, reader), deployment.sealed.targets
    plans.read_files(sealed)
    plans.read_files(sealed.model_copy(update={"server": "production-2"}))
    assert len(read) == 1
    assert "dicebot/__main__.py" in read[0], "it is another one in the new release"
    plans.read_files(sealed.model_copy(update={"base": None}))
    assert set(read[1]) == {file.path for file in manifest_on_servers(deployment.release, ["bot"]).files}
    assert set(read[0]) < set(read[1])


def test_the_hooks_of_its_roles_go_along_with_their_deadlines(deployment: Deployment, reader: ArtifactReader) -> None:
    ours = SealedHook(moment="before_activate", role="bot", command=("migrate",), back=("undo",), deadline=7)
    theirs = SealedHook(moment="after_activate", role="web", command=("warm",), deadline=9)
    sealed = deployment.sealed
    plan = sealed.plan.model_copy(update={"hooks": (ours, theirs)})
    deployment.snapshot = sealed.model_copy(update={"plan": plan}).to_json()
    made = HostPlans(deployment, reader).plan(only_target(deployment), fence=7, within=LONG)
    assert made.hooks == [
        HookPlan(moment="before_activate", role="bot", command=("migrate",), back=("undo",), deadline=7)
    ]
    assert made.deadlines == {**reader.deploy.deadlines.model_dump(), "prune": PRUNE_SECONDS, "before_activate": 7}
    assert made.deadline == sum(made.deadlines.values()) + MARGIN_SECONDS
