"""Two machines of one portal whose clocks are ten minutes off, and everything that can happen to them, at random.

Nothing is run twice, nothing stays half done, and no sentence is untrue, whatever strikes.
"""

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from deployments.audit import trail
from deployments.lifecycle import FINAL, Status
from deployments.models import AuditEvent, Deployment
from sandbox.hosts import HostSet
from tests.fixtures.fleet import TREE, provision_all
from tests.fixtures.journals import untruths
from tests.fixtures.reliability import fault_seed
from tests.stories.databases import has_postgres
from tests.stories.running import no_rehearsals, shell
from tests.stories.test_fault_matrix import check, drift, held_at
from tests.stories.two_machines import (
    CHAOS,
    CLOCKS,
    NO_ARTIFACT,
    RUNS,
    WORKER_STRUCK,
    TwoMachines,
    with_one_machine_lacking_it,
)

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.full,
    pytest.mark.skipif(not has_postgres(), reason="PostgreSQL is not installed"),
]
STEPS = ("preflight", "stage", "backup", "activate", "restart", "verify", "prune")
KINDS = (*CHAOS, NO_ARTIFACT, "nothing")


class Ended(NamedTuple):
    """What a record says for ever once its deployment has ended."""

    status: str
    outcome: str
    sentence: str
    finished_at: object
    claim: object

    @classmethod
    def of(cls, deployment: Deployment) -> "Ended":
        return cls(*(getattr(deployment, name) for name in cls._fields))


@pytest.mark.parametrize("count", [10, 100])
def test_chaos_over_two_machines(
    count: int,
    hosts_factory: Callable[..., HostSet],
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: Any,
) -> None:
    chance = random.Random(fault_seed())
    world = TwoMachines(provision_all(hosts_factory(1)), tmp_path_factory.mktemp("chaos"))
    ended: dict[int, Ended] = {}
    with django_db_blocker.unblock(), world.up(), world.entered():
        for machine, ahead in CLOCKS.items():
            assert clock_of(world, machine) == pytest.approx(ahead, abs=60), (
                "its clock is as wrong as it is meant to be"
            )
        for number in range(count):
            # each kind once before chance decides
            kind = KINDS[number] if number < len(KINDS) else chance.choice(KINDS)
            deployment = struck(world, kind, chance.choice(STEPS))
            ended[deployment.pk] = Ended.of(deployment)
        world.calm()  # whoever stood still goes on
        assert world.deploy(world.another()).status == Status.SUCCEEDED
        assert not Deployment.objects.exclude(status__in=FINAL).exists()
        now = {row.pk: Ended.of(row) for row in Deployment.objects.filter(pk__in=ended)}
        assert now == ended, "what had ended has been left alone"
        assert trail.verify() == []


def struck(world: TwoMachines, kind: str, step: str) -> Deployment:
    """A deployment of which everything holds, whatever happened to it."""
    world.calm()
    old, rows = world.running, world.roll()
    if kind in CHAOS:
        fault = CHAOS[kind]
        deployment = held_at(world, world.another(), step, fault)
        fault.strike(world, deployment)
        world.until_ended(deployment)
        assert shell(world.machine, f"cat {RUNS}") == "run", "it was carried out once"
        assert Status(deployment.status) in fault.allowed(step), f"{kind} at {step}: {deployment.sentence}"
    else:
        lacks = kind == NO_ARTIFACT
        deployment = with_one_machine_lacking_it(world, "one") if lacks else world.deploy(world.another())
        assert deployment.status == Status.SUCCEEDED, f"{kind}: {deployment.sentence}"
    no_rehearsals(world.machine)
    check(world, deployment, old, rows)
    assert drift(deployment) == []
    is_true(deployment, kind)
    (target,) = deployment.targets.select_related("deployment__release")
    journal = shell(world.machine, f"cat {TREE}/.deploy/journal.jsonl")
    assert untruths(target, journal, world.running) == [], f"{kind} at {step}: {target.sentence}"
    return deployment


def is_true(deployment: Deployment, kind: str) -> None:
    """What is said of it was so, as far as what struck it tells."""
    begun = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}", name="deployment.started")
    assert begun.count() == 1, "it began once"
    words = f"{kind}: {deployment.sentence}"
    assert "no longer covers" not in deployment.sentence, words
    assert (deployment.outcome == "worker_lost") <= (kind in WORKER_STRUCK), words
    assert ("worker" in deployment.sentence.lower()) <= (kind in WORKER_STRUCK), words


def clock_of(world: TwoMachines, machine: str) -> float:
    """How many seconds a program there is ahead of this one."""
    told = world.run_on(machine, "-c", "import time; print(time.time())")
    return float(told.stdout) - time.time()
