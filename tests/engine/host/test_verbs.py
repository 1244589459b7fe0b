"""What the agent answers beside a run: to who reverts, cancels, recovers, delivers a secret, or only asks."""

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.errors import Hangup, Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.journal import Journal, RunState
from engine.host.agent.limits import Record
from engine.host.agent.lock import Lock
from engine.host.agent.recorder import Masker, Recorder
from engine.host.agent.settle import plan_summary
from engine.host.agent.tree import Tree
from engine.host.agent.verbs import VERBS
from tests.engine.host.runs import NEW, OLD, UNIT, ask, frames, plan, put_live, rehearse, run, said, stream

RESTARTED = [f"reset-failed {UNIT}", f"--no-block restart {UNIT}"]
OURS = {"deployment": "7", "fence": 4}


@pytest.fixture(autouse=True)
def running(tree: Tree, machine: Machine) -> None:
    """The old release is live."""
    put_live(tree)


def ended(tree: Tree) -> Record:
    """How the last run ended, as its journal says."""
    state = Journal(tree).last_run()
    assert isinstance(state, RunState)
    assert state.result is not None
    return state.result


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.01)


@pytest.fixture
def verifying(tree: Tree, machine: Machine) -> Iterator[int]:
    """The process of a run that is in the middle of its verification, and stays there."""
    rehearse(tree, "verify", f"touch {tree.root}/there; exec sleep 60")
    child = os.fork()
    if child == 0:
        try:
            run(tree, plan(tree))
        finally:
            os._exit(0)
    wait_until(Path(tree.root, "there").exists)
    Path(tree.rehearsal, "verify").unlink()
    yield child
    os.waitpid(child, 0)


def test_a_success_is_put_back_when_another_server_failed_and_only_once(tree: Tree, machine: Machine) -> None:
    assert run(tree, plan(tree))["status"] == "succeeded"
    result = ask(tree, "revert", **OURS, run_fence=3)
    assert (result["status"], result["reason"]) == ("reverted", "reverted_on_request"), result
    assert result["sentence"].endswith(f"The server is back on {OLD}.")
    assert tree.current_release() == OLD
    assert machine.asked == RESTARTED * 2
    again = ask(tree, "revert", **{**OURS, "fence": 5}, run_fence=3)
    assert (again["status"], again["seq"]) == ("reverted", result["seq"]), "what was put back is not put back again"
    assert machine.asked == RESTARTED * 2


@pytest.mark.parametrize("other", [{"run_fence": 2}, {"deployment": "6", "run_fence": 3}])
def test_a_run_of_another_portal_or_deployment_is_never_put_back(tree: Tree, machine: Machine, other: Record) -> None:
    run(tree, plan(tree))
    result = ask(tree, "revert", **{**OURS, **other})
    assert (result["status"], result["reason"]) == ("none", "nothing_to_revert"), result
    assert tree.current_release() == NEW
    assert machine.asked == RESTARTED


def test_what_failed_by_itself_is_told_and_not_undone_twice(tree: Tree, machine: Machine) -> None:
    machine.next_starts(UNIT, "failed", "active")
    failed = run(tree, plan(tree))
    result = ask(tree, "revert", **OURS, run_fence=3)
    assert (
        (result["status"], result["reason"]) == ("reverted", "unit_not_active") == (failed["status"], failed["reason"])
    )
    assert machine.asked == RESTARTED * 2


def test_the_same_run_never_runs_twice(tree: Tree, machine: Machine) -> None:
    run(tree, plan(tree))
    with pytest.raises(Refused) as refused:
        run(tree, plan(tree))
    assert refused.value.reason == "already_ran"
    assert machine.asked == RESTARTED


def test_what_never_ran_here_cannot_be_cancelled_and_who_is_outdated_may_not(tree: Tree, machine: Machine) -> None:
    run(tree, plan(tree))
    result = ask(tree, "cancel", deployment="8", fence=3)
    assert (result["status"], result["reason"]) == ("none", "unknown"), result
    with pytest.raises(Refused) as refused:
        ask(tree, "cancel", deployment="7", fence=2)
    assert refused.value.reason == "fence_outdated"
    assert tree.current_release() == NEW


def test_cancelling_what_a_dead_agent_left_settles_it(tree: Tree, machine: Machine) -> None:
    line = stream(tree)
    recorder = Recorder(Journal(tree), line.record, Masker(tree), {"deployment": "7", "fence": 3, "seq": 0})
    recorder.record("run", {"plan": plan_summary(plan(tree)), "recovered": None})
    recorder.begin("stage")
    os.close(line.fd)
    result = ask(tree, "cancel", **OURS)
    assert (result["status"], result["reason"]) == ("cancelled", "cancelled"), result
    assert "its agent had already died. Nothing on this server was changed." in result["sentence"]


def test_a_run_that_is_cancelled_puts_everything_back_and_ends(tree: Tree, machine: Machine, verifying: int) -> None:
    with pytest.raises(Refused) as refused:
        ask(tree, "cancel", deployment="8", fence=4)
    assert refused.value.reason == "host_locked", "nobody cancels another deployment's run by mistake"
    result = ask(tree, "cancel", **OURS)
    assert (result["status"], result["reason"]) == ("cancelled", "cancelled"), result
    assert "during the step verify" in result["sentence"]
    assert result["facts"]["ended"] == {"deployment": "7", "killed": False, **result["facts"]["ended"]}
    assert tree.current_release() == OLD
    assert not Lock(tree).held()


def test_a_rollback_takes_over_from_a_run_that_goes_on(tree: Tree, machine: Machine, verifying: int) -> None:
    result = run(tree, plan(tree, deployment="8", fence=4, takeover=True))
    assert result["status"] == "succeeded", result
    earlier = [record for record in Journal(tree).of("7") if record["kind"] == "result"]
    assert [(record["status"], record["reason"]) for record in earlier] == [("cancelled", "taken_over")]
    assert "Deployment 8 took over during the step verify." in earlier[0]["sentence"]
    assert machine.asked == RESTARTED * 3, "started, put back, and started anew"


def test_a_server_that_shuts_down_has_its_run_put_back_first(tree: Tree, machine: Machine, verifying: int) -> None:
    os.kill(verifying, signal.SIGTERM)
    wait_until(lambda: not Lock(tree).held())
    assert (ended(tree)["status"], ended(tree)["reason"]) == ("reverted", "terminated")
    assert "as when a server shuts down" in ended(tree)["sentence"]
    assert tree.current_release() == OLD


def test_where_nothing_ran_nothing_is_recovered_and_who_is_at_work_is_left_alone(tree: Tree, machine: Machine) -> None:
    assert ask(tree, "recover")["reason"] == "nothing_to_recover"
    lock = Lock(tree)
    assert lock.acquire(0)
    lock.own("41", 9, 60.0)
    result = ask(tree, "recover")
    lock.release()
    assert (result["status"], result["reason"]) == ("running", "host_locked"), result
    assert "Deployment 41 has been running" in result["sentence"]


def test_the_journal_is_told_from_where_the_portal_stopped(tree: Tree, machine: Machine) -> None:
    last = run(tree, plan(tree))["seq"]
    before = len(said(tree))
    ask(tree, "journal", deployment="7", after=last - 2)
    assert [line["record"]["seq"] for line in said(tree)[before:]] == [last - 1, last]
    before = len(said(tree))
    ask(tree, "journal", deployment="8", after=0)
    assert said(tree)[before:] == []


def test_a_secret_is_put_where_only_its_owner_reads_it(tree: Tree, machine: Machine) -> None:
    result = ask(tree, "secret", (b"V", b"hunter2"), name="password", version=2)
    assert (result["status"], result["reason"]) == ("succeeded", "delivered"), result
    path = Path(tree.secrets, "password")
    assert path.read_bytes() == b"hunter2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert Path(tree.secret_versions).read_text() == '{"password":2}'


@pytest.mark.parametrize("wrong", [{"name": "../current"}, {"name": 7}, {"version": 0}, {"version": "2"}])
def test_a_secret_with_another_name_or_version_is_refused(tree: Tree, machine: Machine, wrong: Record) -> None:
    with pytest.raises(Refused) as refused:
        ask(tree, "secret", (b"V", b"x"), **{"name": "password", "version": 1, **wrong})
    assert refused.value.reason == "bad_request"
    assert list(Path(tree.secrets).iterdir()) == []


def test_a_secret_does_not_change_under_a_deployment_and_half_a_one_is_none(tree: Tree, machine: Machine) -> None:
    lock = Lock(tree)
    assert lock.acquire(0)
    lock.own("41", 9, 60.0)
    with pytest.raises(Refused, match="deliver the secret afterwards"):
        ask(tree, "secret", (b"V", b"x"), name="password", version=1)
    lock.release()
    with pytest.raises(Hangup, match="closed the line"):
        ask(tree, "secret", name="password", version=1)
    assert list(Path(tree.secrets).iterdir()) == []


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_no_verb_listens_to_another_protocol(tree: Tree, machine: Machine, verb: str) -> None:
    with pytest.raises(Refused) as refused:
        ask(tree, verb, protocol=2)
    assert refused.value.reason == "bad_request"
    assert machine.asked == []


def test_a_request_that_is_no_frame_is_refused(tree: Tree, machine: Machine) -> None:
    sent: Any = frames((b"T", b"files before anything was asked"))
    with pytest.raises(Refused, match="something else than the protocol says") as refused:
        VERBS["inspect"](tree, sent, stream(tree))
    assert refused.value.reason == "bad_request"
