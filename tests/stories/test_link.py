"""The line to a server is cut while a deployment runs: the server helps itself, and the portal says so truthfully."""

import pytest

from deployments.audit import trail
from deployments.execution import run
from deployments.execution.reaper import reap
from deployments.lifecycle import EXECUTING, Status
from deployments.models import AuditEvent, Deployment
from tests.fixtures.fleet import Fleet
from tests.stories.running import (
    GO,
    HOLD,
    deadlines,
    go_on,
    held,
    in_background,
    lock_is_free,
    rehearse,
    roll,
    rolls,
    runs,
    wait_for,
)

pytestmark = pytest.mark.hosts


@pytest.fixture
def old(fleet: Fleet) -> str:
    """The release that runs, with some rows in its database."""
    fleet.enrol()
    release = fleet.release("1.0.0")
    assert fleet.deploy(release).status == Status.SUCCEEDED
    roll(fleet.machines[0], 7)
    return release.identifier


def cut_in_the_middle_of_a_restart(fleet: Fleet, deployment: Deployment) -> None:
    """The new release has been activated and restarted, its proof is outstanding, and nobody hears of it."""
    machine = fleet.machines[0]
    wait_for(lambda: held(deployment), "the restart to begin")
    assert fleet.current() == deployment.release.identifier
    wait_for(lambda: runs(machine) == deployment.release.identifier, "the new release to answer")
    machine.link(False)


def test_cut_for_good_during_the_restart_the_server_reverts_without_us(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "restart-end", HOLD)
    deployment = fleet.request(fleet.release("1.0.1", deadlines(restart=12)))
    with in_background(deployment):
        cut_in_the_middle_of_a_restart(fleet, deployment)
        wait_for(lambda: lock_is_free(machine), "the agent to revert at its deadline")
        assert fleet.current() == old
        assert runs(machine) == old
        deployment.refresh_from_db()
        assert deployment.status in EXECUTING, "nothing is claimed before the server has been asked"
        machine.link(True)
    assert deployment.status == Status.ROLLED_BACK, deployment.sentence
    assert deployment.outcome == "deadline"
    assert "did not end within 12 s" in deployment.sentence
    assert old in deployment.sentence
    assert rolls(machine) == 7
    assert trail.verify() == []


@pytest.mark.usefixtures("short_deadlines")
def test_cut_for_good_and_the_worker_gave_up_the_reaper_tells_it_later(
    fleet: Fleet, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)
    machine = fleet.machines[0]
    rehearse(machine, "restart-end", HOLD)
    deployment = fleet.request(fleet.release("1.0.1", deadlines(restart=12)))
    with in_background(deployment):
        cut_in_the_middle_of_a_restart(fleet, deployment)
    assert deployment.status in EXECUTING
    machine.link(True)
    machine.wait_ready()
    wait_for(lambda: lock_is_free(machine), "the agent to revert at its deadline")
    assert reap() == [deployment.pk]
    deployment.refresh_from_db()
    assert deployment.status == Status.ROLLED_BACK, deployment.sentence
    assert runs(machine) == fleet.current() == old
    assert rolls(machine) == 7
    names = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}").values_list("name", flat=True)
    assert list(names).count("deployment.rolled_back") == 1


def test_cut_for_a_moment_the_deployment_goes_on(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "restart-end", GO)
    deployment = fleet.request(fleet.release("1.0.1"))
    with in_background(deployment):
        cut_in_the_middle_of_a_restart(fleet, deployment)
        go_on(machine)
        wait_for(lambda: lock_is_free(machine), "the agent to verify without us")
        machine.link(True)
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    assert runs(machine) == fleet.current() == deployment.release.identifier
    assert deployment.targets.get().steps.filter(state="running").count() == 0
    assert rolls(machine) == 7
