"""Fifty deployments over four servers with faults at random: nothing is lost, nothing is left running."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.lifecycle import FINAL, Status, StepState, TargetStatus
from deployments.models import AuditEvent, Deployment, Step, Target
from deployments.servers.inspection import find_drift
from sandbox.hosts import HostSet
from tests.fixtures.fleet import TREE, provision_all
from tests.fixtures.reliability import fault_seed
from tests.stories.faults import FAULTS
from tests.stories.running import GO, held, lock_is_free, no_rehearsals, rehearse, roll, rolls, runs, wait_for
from tests.stories.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.full]

SERVERS, DEPLOYMENTS = 4, 50
STRUCK = ("worker SIGKILL", "cluster SIGKILL", "link cut for 5 s", "sshd killed", "step exits non-zero", "cancel")
STEPS = ("preflight", "stage", "backup", "activate", "restart", "verify", "prune")


def test_fifty_deployments_over_four_servers_with_random_faults(
    hosts_factory: Callable[..., HostSet], tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> None:
    chance = random.Random(fault_seed())
    world = World(provision_all(hosts_factory(SERVERS)), tmp_path_factory.mktemp("many"), "sqlite", SERVERS)
    with django_db_blocker.unblock(), world.up(), world.entered():
        machines = world.fleet.machines
        for machine in machines:
            roll(machine, 4)
        for _ in range(DEPLOYMENTS):
            world.calm()
            struck = chance.randrange(SERVERS)
            step, name = chance.choice(STEPS), chance.choice((*STRUCK, ""))
            if name:
                rehearse(machines[struck], step, FAULTS[name].script if name == "step exits non-zero" else GO)
            deployment = world.fleet.request(world.another())
            if name:
                wait_for(lambda: held(deployment), f"{step} to begin\n{world.logs()}")  # noqa: B023  (used at once)
                deployment.refresh_from_db()
                world.struck = struck
                FAULTS[name].strike(world, deployment)
            world.until_ended(deployment)
            no_rehearsals(machines[struck])
            whole(world, deployment, f"{name or 'nothing'} at {step} on server {struck + 1}")
        assert Deployment.objects.count() == DEPLOYMENTS + 1, "none is lost"
        assert not Deployment.objects.exclude(status__in=FINAL).exists()
        assert not Target.objects.filter(status__in=(TargetStatus.RUNNING, TargetStatus.WAITING)).exists()
        assert not Step.objects.filter(state=StepState.RUNNING).exists()
        assert [rolls(machine) for machine in machines] == [4] * SERVERS
        for deployment in Deployment.objects.all():
            told = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}").count()
            assert told >= 3, f"{deployment} was asked for, begun and ended, and the trail has {told} events"
        assert trail.verify() == []


def whole(world: World, deployment: Deployment, what: str) -> None:
    """Every server runs the same release, the one the record says, and none is still at work."""
    machines = world.fleet.machines
    current = {world.fleet.current(number) for number in range(1, SERVERS + 1)}
    assert len(current) == 1, f"a mixture after {what}: {deployment.sentence}"
    (release,) = current
    assert (release == deployment.release.identifier) == (deployment.status == Status.SUCCEEDED), what
    for machine in machines:
        wait_for(lambda: runs(machine) == release, f"{release} to answer after {what}", deadline=60)  # noqa: B023
        assert lock_is_free(machine)
        assert machine.root(["test", "-d", f"{TREE}/releases/{release}"], check=False).returncode == 0
    drift = find_drift(actor=system_actor("tests"), environment=deployment.environment)
    assert [finding.sentence for finding in drift if finding.well is not True] == [], what
