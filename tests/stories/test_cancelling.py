"""Cancelling a deployment that runs: what it ends, what it restores, and what it says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from deployments.core.actors import shell_actor
from deployments.execution import claims
from deployments.execution.remote_cancellation import cancel_remote
from deployments.lifecycle import Status
from deployments.models import Deployment
from deployments.requests.cancellation import cancel
from tests.fixtures.fleet import Fleet
from tests.stories.running import HOLD, held, in_background, rehearse, runs, shell, wait_for

pytestmark = pytest.mark.hosts


@pytest.fixture
def old(fleet: Fleet) -> str:
    """The release that runs on two servers."""
    fleet.enrol(2)
    release = fleet.release("1.0.0")
    assert fleet.deploy(release).status == Status.SUCCEEDED
    return release.identifier


@contextmanager
def rescue(deployment: Deployment) -> Iterator[None]:
    """The rescue cluster's worker, at work on the cancellation."""

    def work() -> None:
        try:
            cancel_remote(deployment.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(90)
    assert not thread.is_alive()


def test_in_the_middle_of_a_step_everything_of_it_ends_and_is_restored(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "restart", "sleep 600 & echo held; exec sleep 601")
    deployment = fleet.request(fleet.release("1.0.1"))
    with in_background(deployment):
        wait_for(lambda: held(deployment), "the restart to begin")
        cancel(actor=shell_actor("carla"), deployment=deployment)
        cancel_remote(deployment.pk)
    assert deployment.status == Status.CANCELLED, deployment.sentence
    assert "shell:carla" in deployment.sentence
    assert old in deployment.sentence, "it says what was restored"
    assert shell(machine, "pgrep -f 'sleep 60[01]'") == "", "the step's processes have ended"
    assert runs(machine) == fleet.current() == old
    assert [target.status for target in deployment.targets.all()] == ["cancelled", "skipped"]


def test_between_two_servers_the_first_one_goes_back(fleet: Fleet, old: str) -> None:
    rehearse(fleet.machines[1], "preflight", HOLD)
    deployment = fleet.request(fleet.release("1.0.1"))
    with in_background(deployment):
        wait_for(lambda: held(deployment), "the second server to begin")
        assert fleet.current(1) == deployment.release.identifier
        cancel(actor=shell_actor("carla"), deployment=deployment)
        cancel_remote(deployment.pk)
    assert deployment.status == Status.CANCELLED, deployment.sentence
    assert "Every server runs what it ran before" in deployment.sentence
    assert [fleet.current(1), fleet.current(2)] == [old, old]
    assert [target.status for target in deployment.targets.all()] == ["reverted", "cancelled"]


def test_a_cancellation_that_comes_before_the_agent_begins_is_not_lost(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "restart", HOLD)
    deployment = fleet.request(fleet.release("1.0.1"))
    machine.latency(400)
    with in_background(deployment):
        wait_for(lambda: deployment.targets.filter(status="running").exists(), "the worker to connect")
        cancel(actor=shell_actor("carla"), deployment=deployment)
        with rescue(deployment):
            pass
    machine.clear()
    assert deployment.status == Status.CANCELLED, deployment.sentence
    assert [fleet.current(1), fleet.current(2)] == [old, old]


def test_with_a_dead_worker_the_rescue_settles_it_when_the_lease_has_run_out(fleet: Fleet, old: str) -> None:
    claimed = claims.claim(fleet.request(fleet.release("1.0.1")).pk)
    assert claimed is not None
    deployment = claimed.deployment
    cancel(actor=shell_actor("carla"), deployment=deployment)
    claims.hand_over(claimed)
    cancel_remote(deployment.pk)
    deployment.refresh_from_db()
    assert deployment.status == Status.CANCELLED, deployment.sentence
    assert "Nothing had been changed" in deployment.sentence
    assert [fleet.current(1), fleet.current(2)] == [old, old]


@pytest.mark.usefixtures("short_deadlines")
def test_a_server_that_is_off_does_not_hold_a_cancellation_for_half_an_hour(fleet: Fleet, old: str) -> None:
    claimed = claims.claim(fleet.request(fleet.release("1.0.1")).pk)
    assert claimed is not None
    deployment = claimed.deployment
    deployment.targets.filter(order=0).update(status="running")
    cancel(actor=shell_actor("carla"), deployment=deployment)
    claims.hand_over(claimed)
    fleet.machines[0].link(False)
    try:
        cancel_remote(deployment.pk)
    finally:
        fleet.machines[0].link(True)
    deployment.refresh_from_db()
    assert deployment.status == Status.INTERRUPTED
    assert "completed when the server answers" in deployment.sentence
