"""What the states of units prove. systemd itself is asked in tests/deployments/remote; here it says what is rare."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.host.agent.errors import StepFailed, SupervisorGone
from engine.host.agent.health import Expectation
from engine.host.agent.processes import Tools
from engine.host.agent.systemd import Systemd
from engine.host.agent.verification import Verifier

WELL = {"ActiveState": "active", "SubState": "running", "NRestarts": "0", "MainPID": "20", "InvocationID": "new"}
OLD = {"ActiveState": "active", "NRestarts": "4", "MainPID": "10", "InvocationID": "old"}


class Saying(Systemd):
    """systemd that says these states, one after the other, and the last one from then on."""

    def __init__(self, *states: dict[str, str]) -> None:
        super().__init__(Tools("tests", "/"))
        self._states = list(states)

    def start_show(self, units: list[str]) -> Any:
        return None

    def finish_show(self, process: Any, units: list[str]) -> dict[str, dict[str, str]]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return dict.fromkeys(units, state)


def prove(*states: dict[str, str], old: dict[str, str] | None = OLD, tick: Callable[[], None] = lambda: None) -> None:
    role = {"role": "timer", "units": ["a.service"], "health": None, "watch": {"a.service": 0.3}}
    expectation = Expectation(role, None, None, connected=False)
    before = {"a.service": old} if old else {}
    Verifier(Saying(*states), lambda line: None, tick).prove([expectation], before, 0.0, time.monotonic() + 5)


def test_a_unit_that_runs_on_after_its_restart_is_well() -> None:
    prove(WELL)


def test_whoever_listens_hears_that_the_watch_goes_on_and_may_end_it() -> None:
    def gone() -> None:
        raise SupervisorGone

    with pytest.raises(SupervisorGone):
        prove(WELL, tick=gone)


@pytest.mark.parametrize("kind", ["notify", "forking"])
def test_a_main_process_that_hands_over_within_one_start_is_well(kind: str) -> None:
    prove({**WELL, "Type": kind}, {**WELL, "Type": kind, "MainPID": "21"})


def test_a_new_start_of_what_is_kept_running_is_none_of_its_work() -> None:
    with pytest.raises(StepFailed, match="was restarted while"):
        prove({**WELL, "Type": "notify"}, {**WELL, "Type": "notify"}, {**WELL, "Type": "notify", "InvocationID": "n"})


def test_a_job_that_has_done_its_work_is_well() -> None:
    prove({"ActiveState": "inactive", "Type": "oneshot", "Result": "success", "InvocationID": "new"})


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([{**WELL, "ActiveState": "failed", "SubState": "failed"}], "unit_not_active"),
        ([{**WELL, "ActiveState": "inactive", "Type": "oneshot", "Result": "exit-code"}], "unit_not_active"),
        ([WELL, WELL, {**WELL, "NRestarts": "1", "MainPID": "21"}], "crash_loop"),
        ([WELL, WELL, {**WELL, "MainPID": "21"}], "crash_loop"),
        ([{**WELL, "NRestarts": "1"}], "crash_loop"),
        ([{**WELL, "InvocationID": "old"}], "old_process"),
    ],
)
def test_what_is_not_proven_is_told_apart(states: list[dict[str, str]], reason: str) -> None:
    with pytest.raises(StepFailed) as failed:
        prove(*states)
    assert failed.value.reason == reason


def test_a_unit_that_is_still_starting_is_waited_for() -> None:
    starting = {**WELL, "ActiveState": "activating", "SubState": "start"}
    prove(starting, starting, starting, WELL)


def test_a_unit_between_two_starts_is_not_waited_for() -> None:
    with pytest.raises(StepFailed, match="auto-restart"):
        prove({**WELL, "ActiveState": "activating", "SubState": "auto-restart"})


def test_restarts_of_long_ago_are_not_held_against_what_runs_now() -> None:
    prove({**WELL, "NRestarts": "3"}, old=None)
