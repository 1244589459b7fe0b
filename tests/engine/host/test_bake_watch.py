"""What is said of units after a success: how the run left them is what they are judged by."""

import pytest

from engine.host.agent.fake_machine import Machine
from engine.host.agent.journal import Journal
from engine.host.agent.limits import Record
from engine.host.agent.tree import Tree
from tests.engine.host.runs import UNIT, ask, plan, put_live, run

RUN = {"deployment": "7", "fence": 3}


@pytest.fixture
def verified(tree: Tree, machine: Machine) -> Machine:
    """A server that has just taken a release."""
    put_live(tree)
    assert run(tree, plan(tree))["status"] == "succeeded"
    return machine


def watch(tree: Tree, **changes: object) -> Record:
    return ask(tree, "watch", **{**RUN, **changes})


def test_what_runs_on_is_said_with_how_long_it_was_looked_at(tree: Tree, verified: Machine) -> None:
    result = watch(tree)
    assert (result["status"], result["reason"]) == ("succeeded", "watched"), result
    assert UNIT in result["sentence"]


def test_what_systemd_restarted_since_has_failed(tree: Tree, verified: Machine) -> None:
    verified.unit(UNIT, NRestarts="1")
    result = watch(tree)
    assert (result["status"], result["reason"]) == ("failed", "crash_loop"), result
    assert "while it was being watched" in result["sentence"]


@pytest.mark.parametrize(
    "shown",
    [{"ActiveState": "failed", "SubState": "failed"}, {"ActiveState": "activating", "SubState": "auto-restart"}],
)
def test_what_fell_since_has_failed(tree: Tree, verified: Machine, shown: dict[str, str]) -> None:
    verified.unit(UNIT, **shown)
    assert watch(tree)["status"] == "failed"


@pytest.mark.parametrize("state", ["activating", "deactivating"])
def test_who_restarts_by_hand_has_broken_nothing(tree: Tree, verified: Machine, state: str) -> None:
    verified.unit(UNIT, ActiveState=state, SubState="start")
    assert watch(tree)["status"] == "succeeded"


@pytest.mark.parametrize(("after", "status"), [(-3600.0, "succeeded"), (0.0, "failed"), (3600.0, "succeeded")])
def test_an_error_is_held_against_it_within_its_watch_alone(
    tree: Tree, verified: Machine, after: float, status: str
) -> None:
    """One of an hour ago, one of when the process had begun, and one of long after its watch has ended."""
    state = Journal(tree).last_run()
    assert state is not None
    assert state.verified is not None
    began: float = state.verified["facts"]["baseline"]["began"][UNIT]
    verified.logs(MESSAGE="token rejected", __REALTIME_TIMESTAMP=str(int((began + after) * 1e6)))
    result = watch(tree)
    assert result["status"] == status, result
    assert ("token rejected" in result["sentence"]) == (status == "failed")


def test_a_journal_that_cannot_be_read_is_no_verdict(tree: Tree, verified: Machine) -> None:
    verified.says_no("journal", "No journal files were opened due to insufficient permissions.")
    result = watch(tree)
    assert (result["status"], result["reason"]) == ("none", "journal_unreadable"), result


def test_of_another_run_and_of_one_that_failed_nothing_is_said(tree: Tree, verified: Machine) -> None:
    assert watch(tree, fence=2)["reason"] == "another_run"
    assert watch(tree, deployment="6")["reason"] == "another_run"
    verified.next_starts(UNIT, "failed", "active")
    assert run(tree, plan(tree, deployment="8", fence=4))["status"] == "reverted"
    assert watch(tree, deployment="8", fence=4)["reason"] == "no_baseline"
