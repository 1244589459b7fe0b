"""The steps of one server as its agent tells them: held here while it runs, so that a record costs no query."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from deployments.core.agent_records import moment
from deployments.core.masking import Mask
from deployments.lifecycle import StepState
from deployments.models import Deployment, Step, Target
from engine.remote.result import Record

MOST_STEPS, MOST_FACTS = 60, 128 << 10
"""Steps that are kept of a target, an agent has eleven and what reverting adds, and bytes of the facts of each."""


def bounded_facts(facts: object, mask: Mask) -> dict[str, Any]:
    """Facts as a server told them, masked; in place of far too many, how many bytes they had."""
    size = len(json.dumps(facts))
    found = mask.facts(facts) if size <= MOST_FACTS else {"left_out": f"{size:,} bytes"}
    return found if isinstance(found, dict) else {}


class StepsOf:
    """Rows of one target; `store` writes what has changed since."""

    def __init__(self, target: Target, rows: list[Step]) -> None:
        self._target = target
        self._rows = rows
        self._new: list[Step] = []
        self._changed: list[Step] = []

    def take(self, record: Record, mask: Mask) -> None:
        """One record of a step: it begins, or ends."""
        name, state = str(record["step"])[:30], str(record["state"])
        row = next((row for row in reversed(self._rows) if row.name == name and row.state == StepState.RUNNING), None)
        if row is None:
            if len(self._rows) >= MOST_STEPS:
                return
            row = Step(target=self._target, name=name, started_at=moment(record))
            self._rows.append(row)
            self._new.append(row)
        if state != "begin":
            self._end(row, state if state in StepState.values else StepState.FAILED, moment(record))
            row.seconds = record.get("seconds")
            row.facts = bounded_facts(record.get("facts", {}), mask)

    def close(self) -> None:
        """A step whose agent was killed has no end of its own."""
        for row in self._rows:
            if row.state == StepState.RUNNING:
                self._end(row, StepState.FAILED, timezone.now())

    def take_unwritten(self) -> tuple[list[Step], list[Step]]:
        """The rows that are new, and those that have ended, since this was asked last."""
        unwritten = self._new, self._changed
        self._new, self._changed = [], []
        return unwritten

    def _end(self, row: Step, state: str, at: Any) -> None:
        row.state, row.finished_at = state, at
        if row.pk is not None and row not in self._changed:
            self._changed.append(row)


def rows_of(deployment: Deployment) -> defaultdict[int, list[Step]]:
    """What is stored of the steps of each target, in order."""
    found: defaultdict[int, list[Step]] = defaultdict(list)
    for row in Step.objects.filter(target__deployment=deployment).order_by("id"):
        found[row.target_id].append(row)
    return found


def store(several: Iterable[StepsOf]) -> None:
    """Write what is new and what has ended, of all of them, in two statements at most."""
    unwritten = [each.take_unwritten() for each in several]
    Step.objects.bulk_create([row for new, _ in unwritten for row in new])
    if changed := [row for _, rows in unwritten for row in rows]:
        Step.objects.bulk_update(changed, ["state", "finished_at", "seconds", "facts"])
