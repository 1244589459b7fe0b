"""What is said of the last hour: of what runs, and not of what it took the place of."""

import os
import time
from pathlib import Path

import pytest

from engine.host.agent.errors import StepFailed
from engine.host.agent.fake_machine import Machine
from engine.host.agent.processes import Tools
from engine.host.agent.recent_activity import look_back
from engine.host.agent.systemd import Systemd
from engine.host.agent.tree import Tree
from engine.host.agent.unit_journal import RESTART_SCHEDULED
from tests.engine.host.runs import UNIT, plan, put_live, role, run


@pytest.fixture(autouse=True)
def activated_a_while_ago(tree: Tree, machine: Machine) -> None:
    """A run has just ended well; its activation was ten seconds before its restart."""
    put_live(tree)
    assert run(tree, plan(tree))["status"] == "succeeded"
    earlier = time.time() - 10.0
    os.utime(tree.current, (earlier, earlier), follow_symlinks=False)


def looked(tree: Tree) -> str:
    return str(look_back(tree, Systemd(Tools("tests", tree.root)), [role(watch={UNIT: 30})])[UNIT])


def restarted(machine: Machine, *, ago: float) -> None:
    at = str(int((time.time() - ago) * 1e6))
    machine.logs(MESSAGE_ID=RESTART_SCHEDULED, UNIT=UNIT, __REALTIME_TIMESTAMP=at)


def test_what_crashed_until_the_restart_is_not_told_of_what_runs_now(tree: Tree, machine: Machine) -> None:
    restarted(machine, ago=5.0)
    assert looked(tree).startswith(f"{UNIT} no restart since its activation")


def test_what_crashed_since_the_restart_is(tree: Tree, machine: Machine) -> None:
    restarted(machine, ago=0.0)
    with pytest.raises(StepFailed, match="it ends again and again"):
        looked(tree)


def test_a_run_of_an_agent_that_did_not_say_when_it_restarted_counts_from_its_activation(
    tree: Tree, machine: Machine
) -> None:
    Path(tree.journal).unlink()
    restarted(machine, ago=5.0)
    with pytest.raises(StepFailed, match="it ends again and again"):
        looked(tree)
