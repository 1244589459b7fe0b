"""The steps of a server as its agent tells them, bounded and in order, whatever it says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.core.masking import Mask
from deployments.execution.steps import MOST_FACTS, MOST_STEPS, StepsOf, bounded_facts
from deployments.lifecycle import StepState
from deployments.models import Step, Target

MASK = Mask([("token", "correct horse")])


def told(step: str, state: str, second: int = 0, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "step": step, "state": state, "at": f"2026-01-01T00:00:{second:02}+00:00", **more}


def shown(row: Step) -> tuple[str, str, int, int | None]:
    ended = row.finished_at.second if row.finished_at else None
    return row.name, row.state, row.started_at.second, ended


@pytest.fixture
def steps() -> StepsOf:
    return StepsOf(Target(), [])


def test_a_step_begins_and_ends_with_what_the_agent_found(steps: StepsOf) -> None:
    steps.take(told("stage", "begin", 1), MASK)
    steps.take(
        told("stage", "ok", 3, seconds=1.5, facts={"said": "correct horse", "files": [1, "correct horse"]}), MASK
    )
    steps.take(told("verify", "begin", 4), MASK)
    new, changed = steps.take_unwritten()
    assert [shown(row) for row in new] == [
        ("stage", StepState.OK, 1, 3),
        ("verify", StepState.RUNNING, 4, None),
    ]
    assert (new[0].seconds, new[0].facts) == (1.5, {"said": "[secret token]", "files": [1, "[secret token]"]})
    assert changed == [], "what is new is written whole"
    assert steps.take_unwritten() == ([], [])


def test_what_was_stored_is_written_again_once_when_it_ends() -> None:
    stored = [
        Step(pk=number, name=name, state=StepState.RUNNING, started_at=datetime(2026, 1, 1, tzinfo=UTC))
        for number, name in enumerate(("stage", "stage", "verify"), 1)
    ]
    steps = StepsOf(Target(), stored)
    steps.take(told("stage", "failed", 5), MASK)
    assert [row.state for row in stored] == [StepState.RUNNING, StepState.FAILED, StepState.RUNNING], (
        "the last of a name"
    )
    steps.close()
    assert steps.take_unwritten() == ([], [stored[1], stored[0], stored[2]])
    assert {row.state for row in stored} == {StepState.FAILED}
    steps.close()
    assert steps.take_unwritten() == ([], []), "they have ended"


def test_a_step_that_ended_begins_anew_and_an_end_alone_is_a_step(steps: StepsOf) -> None:
    for record in (
        told("stage", "begin", 1),
        told("stage", "ok", 2),
        told("stage", "begin", 3),
        told("verify", "odd", 4),
    ):
        steps.take(record, MASK)
    new, _ = steps.take_unwritten()
    assert [shown(row) for row in new] == [
        ("stage", StepState.OK, 1, 2),
        ("stage", StepState.RUNNING, 3, None),
        ("verify", StepState.FAILED, 4, 4),
    ]


def test_more_steps_than_any_agent_has_are_not_kept(steps: StepsOf) -> None:
    for number in range(MOST_STEPS + 5):
        steps.take(told(f"{number:02} {'x' * 50}", "begin"), MASK)
    steps.take(told(f"{0:02} {'x' * 50}", "ok"), MASK)
    new, _ = steps.take_unwritten()
    assert len(new) == MOST_STEPS
    assert {len(row.name) for row in new} == {30}
    assert new[0].state == StepState.OK, "a known one ends all the same"


def test_facts_are_a_table_within_bounds() -> None:
    room = MOST_FACTS - len('{"a": ""}')
    assert bounded_facts({"a": "y" * room}, MASK) == {"a": "y" * room}
    assert bounded_facts({"a": "y" * (room + 1)}, MASK) == {"left_out": "131,073 bytes"}
    assert bounded_facts(["no", "table"], MASK) == {}
