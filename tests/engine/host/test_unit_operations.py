"""Restart, stop and start on a server played from a script: what systemd is asked for, and what is refused."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.errors import Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.journal import Journal
from engine.host.agent.limits import Record
from engine.host.agent.lock import Lock
from engine.host.agent.recorder import Masker, Recorder
from engine.host.agent.settle import plan_summary
from engine.host.agent.tree import Tree
from engine.host.agent.unit_operations import verb_operate
from tests.engine.host.runs import OLD, UNIT, frames, plan, put_live, request, role, run, said, stream

SOCKET, WORKER = "bot.socket", "worker.service"
ROLES = [role(units=[SOCKET, UNIT, WORKER])]


@pytest.fixture(autouse=True)
def running(tree: Tree, machine: Machine) -> None:
    """A release with a socket, a service and a worker, all active."""
    put_live(tree)
    for name in (SOCKET, WORKER):
        machine.unit(name, ActiveState="active", SubState="running", InvocationID=f"{name}-first")


def operate(tree: Tree, action: str | None, *units: str, **changes: Any) -> Record:
    wanted: Record = {"protocol": 1, "action": action, "release": OLD, "version": "1.0", "roles": ROLES, "units": units}
    line = stream(tree)
    try:
        return verb_operate(tree, frames(request({**wanted, **changes})), line)
    finally:
        os.close(line.fd)


def asked(machine: Machine) -> list[str]:
    return [line.removeprefix("--no-block ") for line in machine.asked if not line.startswith("reset-failed")]


def test_a_restart_leaves_a_listening_socket_alone_and_proves_the_rest(tree: Tree, machine: Machine) -> None:
    result = operate(tree, "restart")
    assert result["status"] == "succeeded", result
    assert asked(machine) == [f"restart {UNIT}", f"restart {WORKER}"]
    assert result["sentence"].startswith(f"Restarted {UNIT} and {WORKER}. Left running: {SOCKET}. Looked at: ")
    assert "no restart" in result["sentence"]


def test_one_unit_alone(tree: Tree, machine: Machine) -> None:
    assert operate(tree, "restart", WORKER)["facts"]["units"] == [WORKER]
    assert asked(machine) == [f"restart {WORKER}"]


def test_all_of_them_by_name(tree: Tree, machine: Machine) -> None:
    assert operate(tree, "stop", SOCKET, UNIT, WORKER)["status"] == "succeeded"
    assert operate(tree, "start", WORKER, UNIT, SOCKET)["facts"]["units"] == [SOCKET, UNIT, WORKER]


def test_a_unit_that_fails_after_the_restart_is_said_to(tree: Tree, machine: Machine) -> None:
    Path(machine.path(".lines")).write_text("Traceback: no such room")
    machine.next_starts(WORKER, "failed")
    result = operate(tree, "restart")
    assert (result["status"], result["reason"]) == ("failed", "unit_not_active"), result
    assert [record["text"] for record in said(tree)] == [f"{WORKER}: Traceback: no such room"]


def test_what_would_start_a_service_is_stopped_before_it(tree: Tree, machine: Machine) -> None:
    result = operate(tree, "stop")
    assert (result["status"], result["reason"]) == ("succeeded", "stopped"), result
    assert asked(machine) == [f"stop {SOCKET}", f"stop {WORKER}", f"stop {UNIT}"]
    assert operate(tree, "stop")["sentence"] == f"Not running before: {SOCKET}, {UNIT} and {WORKER}."


def test_a_start_starts_what_does_not_run_and_nothing_else(tree: Tree, machine: Machine) -> None:
    operate(tree, "stop", WORKER)
    result = operate(tree, "start")
    assert asked(machine) == [f"stop {WORKER}", f"restart {WORKER}"]
    assert result["sentence"].startswith(f"Started {WORKER}. Left running: {SOCKET} and {UNIT}.")


def test_a_unit_that_was_stopped_on_purpose_is_no_fault_of_another_ones_restart(tree: Tree, machine: Machine) -> None:
    operate(tree, "stop", WORKER)
    assert operate(tree, "restart", UNIT)["status"] == "succeeded"
    assert machine.unit(WORKER)["ActiveState"] == "inactive"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"release": "2.0-b"}, "wrong_release"),
        ({"units": ["sshd.service"]}, "bad_request"),
        ({"action": "mask"}, "bad_request"),
        ({"action": None}, "bad_request"),
    ],
)
def test_what_is_no_action_on_the_release_that_runs_is_refused(
    changes: Record, reason: str, tree: Tree, machine: Machine
) -> None:
    with pytest.raises(Refused) as refused:
        operate(tree, changes.pop("action", "restart"), **changes)
    assert refused.value.reason == reason
    assert machine.asked == []


@pytest.mark.parametrize("action", ["restart", "stop", "start"])
def test_a_deployment_that_has_the_lock_is_left_alone(action: str, tree: Tree, machine: Machine) -> None:
    lock = Lock(tree)
    assert lock.acquire(0)
    lock.own("41", 9, 60.0)
    with pytest.raises(Refused, match="Deployment 41 has been running") as refused:
        operate(tree, action)
    lock.release()
    assert refused.value.reason == "host_locked"
    assert machine.asked == []


def test_a_deployment_does_not_wait_for_somebody_who_only_watches(tree: Tree, machine: Machine) -> None:
    child = os.fork()
    if child == 0:  # what `operate` is while it watches: it holds the lock, and a signal ends it
        lock = Lock(tree)
        lock.acquire(0)
        lock.own_briefly("A restart")
        Path(tree.root, "holds").touch()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(60)
        os._exit(0)
    while not Path(tree.root, "holds").exists():
        time.sleep(0.01)
    result = run(tree, plan(tree))
    assert result["status"] == "succeeded", result
    assert os.waitpid(child, 0)[1] == 15


def test_a_run_that_was_left_unfinished_is_settled_first(tree: Tree, machine: Machine) -> None:
    line = stream(tree)
    recorder = Recorder(Journal(tree), line.record, Masker(tree), {"deployment": "6", "fence": 2, "seq": 0})
    recorder.record("run", {"plan": plan_summary(plan(tree, deployment="6", fence=2)), "recovered": None})
    recorder.begin("restart")
    os.close(line.fd)
    before = list(machine.asked)
    with pytest.raises(Refused) as refused:
        operate(tree, "start")
    assert refused.value.reason == "unsettled"
    assert machine.asked == before
