"""A forced command that a server has got since it was enrolled ends a deployment at once, which quotes what it says."""

import time
from collections.abc import Iterator

import pytest

from deployments.core import sessions
from deployments.execution import reaper
from deployments.lifecycle import Status
from sandbox.hosts.difficult import DIFFICULT
from tests.fixtures.fleet import Fleet
from tests.stories.running import runs

pytestmark = pytest.mark.hosts

FORCED = DIFFICULT["a forced command for everybody but root"]


def change(fleet: Fleet, command: str) -> None:
    """Of sshd's configuration; what is connected still goes on as it began."""
    fleet.machines[0].root(["sh", "-c", command])
    fleet.machines[0].wait_ready()
    for session, _ in sessions._WARM._idle.values():
        session.close()


@pytest.fixture
def running(fleet: Fleet) -> Iterator[Fleet]:
    """A fleet whose first server runs 1.0.0."""
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    yield fleet
    change(fleet, FORCED.way_out)


def test_a_forced_command_that_was_set_since_ends_a_deployment_at_once(running: Fleet) -> None:
    change(running, FORCED.made_by)
    began = time.monotonic()
    row = running.deploy(running.release("1.0.1"))
    assert (row.status, row.outcome) == (Status.FAILED, "not_run"), row.sentence
    assert "instead the server says: This account is for backups only." in row.sentence
    assert "ForceCommand" in row.sentence
    assert time.monotonic() - began < 60, (
        "a worker that asks again and again takes a minute, and then the reaper its time"
    )
    assert reaper.reap() == []
    assert runs(running.machines[0]).startswith("1.0.0")
    change(running, FORCED.way_out)
    assert running.deploy(running.release("1.0.2")).status == Status.SUCCEEDED
