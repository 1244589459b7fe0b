"""Every fault at every step, with real clusters and a real server: what it leaves behind, and that it says so truly.

The matrix is the product of the agent's own steps and `faults.FAULTS`: a new step is covered by itself. All of it is
`make test-full`; `make test` runs a part, chosen by a seed that is printed (FAULT_SEED=… chooses the same again).
"""

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.audit import trail
from deployments.core.actors import system_actor
from deployments.lifecycle import Status, StepState, TargetStatus
from deployments.models import Deployment, Release, Step
from deployments.servers.inspection import find_drift
from engine.host.agent.run import STEPS
from sandbox.hosts import HostSet
from tests.fixtures.fleet import UNIT, provision_all
from tests.fixtures.reliability import SAMPLE, fault_seed
from tests.stories.databases import has_postgres
from tests.stories.faults import FAULTS, NEEDS_DEADLINE, SWITCH, UNIT_EDITED, VERIFIED, Fault
from tests.stories.running import held, no_rehearsals, wait_for
from tests.stories.switching import SwitchingWorld, hold_the_switch, let_switch, switch_is_held
from tests.stories.world import World

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.skipif(
        os.environ.get("DATABASE_URL", "").startswith("postgres"),
        reason="it brings both databases, whatever the tests' is",
    ),
]

THE_DATABASE_MATTERS = ("worker SIGKILL", "cluster SIGKILL", "database gone for 5 s", "cancel")
Case = tuple[str, str, str]
MOMENTS = [moment for step in STEPS for moment in ((step, SWITCH) if step == "activate" else (step,))]
"""Before the work of each step, and while root switches the units, which `activate` has it do."""
CASES: list[Case] = [("sqlite", step, fault) for step in MOMENTS for fault in FAULTS]
CASES += [("postgres", step, fault) for step in MOMENTS for fault in THE_DATABASE_MATTERS]


def parameters() -> list[Any]:
    """Every case; those outside the sample are for the full run only."""
    chosen = random.Random(fault_seed()).sample(CASES, SAMPLE)
    return [
        pytest.param(
            *case,
            id=" | ".join(case),
            marks=[
                *([] if case in chosen else [pytest.mark.full]),
                *([pytest.mark.postgres] if case[0] == "postgres" else []),
            ],
        )
        for case in CASES
    ]


@pytest.fixture(scope="module")
def worlds(
    hosts_factory: Callable[..., HostSet], tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Callable[[str], World]]:
    """A world per kind of database, made when it is first needed."""
    made: dict[str, World] = {}
    with django_db_blocker.unblock(), contextlib.ExitStack() as stack:

        def world(kind: str) -> World:
            if kind == "postgres" and not has_postgres():
                pytest.skip("PostgreSQL is not installed")
            if kind not in made:
                fresh = SwitchingWorld(provision_all(hosts_factory(1)), tmp_path_factory.mktemp(kind), kind)
                stack.enter_context(fresh.up())
                made[kind] = fresh
            return made[kind]

        yield world


@pytest.mark.parametrize(("kind", "step", "name"), parameters())
def test_it_ends_truthfully_and_leaves_everything_in_order(
    kind: str,
    step: str,
    name: str,
    worlds: Callable[[str], World],
    record_property: Callable[[str, object], None],
    django_db_blocker: Any,
) -> None:
    world, fault = worlds(kind), FAULTS[name]
    with django_db_blocker.unblock(), world.entered():
        world.calm()
        old, rows = world.running, world.roll()
        slow = "activate" if step == SWITCH else step
        new = world.with_short_deadline(slow) if name in NEEDS_DEADLINE and step != "prune" else world.another()
        deployment = held_at(world, new, step, fault)
        fault.strike(world, deployment)
        world.until_ended(deployment)
        record_property("fault matrix", f"{kind}\t{step}\t{name}\t{deployment.status}")
        world.machine.disk_off()
        no_rehearsals(world.machine)
        let_switch(world.machine)
        check(world, deployment, old, rows)
        changed = drift(deployment)
        if name == UNIT_EDITED and step in VERIFIED:  # after the last look of the deployment; the next puts it right
            assert [UNIT in sentence for sentence in changed] == [True]
        else:
            assert changed == []
        assert Status(deployment.status) in fault.allowed(step), deployment.sentence
        again = world.deploy(world.another())
        assert again.status == Status.SUCCEEDED, f"the environment is usable again: {again.sentence}"


def held_at(world: World, new: Release, step: str, fault: Fault) -> Deployment:
    """A deployment of `new` in the hands of a cluster, waiting before the work of `step`, or of root's within it."""
    if step == SWITCH:
        hold_the_switch(world.machine, "exit 1" if "exit 1" in fault.script else ":")
    else:
        world.rehearse(step, fault.script)
    deployment = world.fleet.request(new)
    waits = (lambda: switch_is_held(world.machine)) if step == SWITCH else (lambda: held(deployment))
    wait_for(waits, f"the step {step} to begin\n{world.logs()}")
    deployment.refresh_from_db()
    return deployment


def check(world: World, deployment: Deployment, old: str, rows: int) -> None:
    """What has to be true whatever happened."""
    new = deployment.release.identifier
    expected = new if deployment.status == Status.SUCCEEDED else old
    assert world.running == expected, f"{deployment.status}: {deployment.sentence}"
    wait_for(lambda: world.answers() == expected, f"{expected} to answer, as the record says", deadline=60)
    assert world.unit() == "active"
    assert world.rows() == rows, "the bot's data is what it was"
    assert deployment.sentence
    assert deployment.lease_until is None
    assert world.lock_is_free()
    wait_for(lambda: not world.left_running(), f"these to end: {world.left_running()}", deadline=60)
    assert not deployment.targets.filter(status__in=(TargetStatus.RUNNING, TargetStatus.WAITING)).exists()
    assert not Step.objects.filter(target__deployment=deployment, state=StepState.RUNNING).exists()
    assert not Deployment.objects.active().exists()
    assert trail.verify() == []


def drift(deployment: Deployment) -> list[str]:
    """What is not as recorded, files of units and root's bounds included."""
    findings = find_drift(actor=system_actor("tests"), environment=deployment.environment)
    return [finding.sentence for finding in findings if finding.well is not True]
