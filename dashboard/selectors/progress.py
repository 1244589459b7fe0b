"""How far a deployment is: its plan's steps on each server, those done, the one running and those to come."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.models import Prefetch

from deployments.lifecycle import ACTIVE, StepState, TargetStatus
from deployments.models import Deployment, Step, Target
from deployments.models.deployments import DeploymentQuerySet

FEW = 6
"""Servers whose cards are all shown open."""
PENDING = "pending"
VERIFY = "verify"
_FOR_PROGRAMS = {"baseline", "watched", "standing", "as_assumed", "connected_before", "versions_before"}
"""What steps tell each other and the portal: notes for going on, and the sentence that the page says already."""


@dataclass(frozen=True)
class StepView:
    """One step of the plan on one server; `seconds` so far while it runs."""

    name: str
    state: str
    seconds: float | None
    facts: dict[str, Any]
    usual: float | None = None
    """Seconds that it takes by experience, where that is known and asked for."""

    @property
    def pairs(self) -> list[tuple[str, Any]]:
        """Its facts for a template, whatever their names are, without those that only programs read."""
        facts = self.facts if isinstance(self.facts, dict) else {}
        return [(name, value) for name, value in facts.items() if name not in _FOR_PROGRAMS]

    @property
    def word(self) -> str:
        """Its state in words."""
        return {PENDING: "to do", StepState.RUNNING: "running", StepState.OK: "done"}.get(self.state, self.state)


@dataclass(frozen=True)
class TargetView:
    """One server of a deployment."""

    target: Target
    steps: list[StepView]

    @property
    def proof(self) -> list[StepView]:
        """The verification, when it has said something."""
        return [step for step in self.steps if step.name == VERIFY and step.pairs]

    @property
    def findings(self) -> list[StepView]:
        """The other steps that said something."""
        return [step for step in self.steps if step.name != VERIFY and step.pairs]

    @property
    def running(self) -> bool:
        """Whether one of its steps is under way."""
        return any(step.state == StepState.RUNNING for step in self.steps)

    @property
    def closed(self) -> bool:
        """Whether there is nothing about it that one has to see: it waits, or is well."""
        return not self.running and self.target.status in (TargetStatus.WAITING, TargetStatus.SUCCEEDED)

    @property
    def seconds(self) -> float | None:
        """From its begin to its end, in seconds."""
        begin, end = self.target.started_at, self.target.finished_at
        return (end - begin).total_seconds() if begin and end else None


@dataclass(frozen=True)
class Progress:
    """A deployment with its servers and steps."""

    deployment: Deployment
    targets: list[TargetView]
    elapsed: float | None

    @property
    def done(self) -> int:
        """Steps that succeeded, over all servers."""
        return sum(step.state == StepState.OK for target in self.targets for step in target.steps)

    @property
    def total(self) -> int:
        """Steps in all."""
        return sum(len(target.steps) for target in self.targets)

    @property
    def percent(self) -> int:
        """Whole percent of the steps that are done."""
        return 100 * self.done // self.total if self.total else 0

    @property
    def fleet(self) -> list[tuple[str, int]]:
        """How many servers stand how, in words; the commonest first."""
        return Counter(target.target.word for target in self.targets).most_common()

    @property
    def at(self) -> str:
        """Which step of how many is under way, `step 4 of 7`; over several servers how many of theirs are done."""
        if len(self.targets) > 1:
            return f"{self.done} of {self.total} steps done"
        return f"step {min(self.done + 1, self.total)} of {self.total}"

    @property
    def large(self) -> bool:
        """Whether there are more servers than one wants to read about one by one."""
        return len(self.targets) > FEW

    @property
    def doing(self) -> str:
        """What is going on now, for one line."""
        for target in self.targets:
            for step in target.steps:
                if step.state == StepState.RUNNING:
                    others = sum(other.running for other in self.targets) - 1
                    beside = f" and {others} more" if others else ""
                    return f"{step.name} on {target.target.server.name}{beside}"
        return self.deployment.get_status_display().lower()


def active(now: datetime) -> list[Progress]:
    """Every deployment that is queued, running or verifying. Three queries."""
    # unordered, so that SQLite takes the index on the status and does not read every deployment in order
    rows = Deployment.objects.filter(status__in=ACTIVE)
    return [progress(row, now) for row in sorted(_with_steps(rows).order_by(), key=attrgetter("pk"))]


def loaded(number: int) -> Deployment | None:
    """A deployment with everything `progress` reads. Three queries."""
    return _with_steps(Deployment.objects.filter(pk=number)).first()


def progress(deployment: Deployment, now: datetime, usual: Mapping[str, float] | None = None) -> Progress:
    """How far `deployment` is at `now`; `usual` seconds by step stand beside those to come."""
    planned, known = deployment.sealed.plan.steps, usual or {}
    targets = [
        TargetView(target, _steps(planned, target.steps.all(), now, known)) for target in deployment.targets.all()
    ]
    end = deployment.finished_at or now
    elapsed = (end - deployment.started_at).total_seconds() if deployment.started_at else None
    return Progress(deployment, targets, elapsed)


def _with_steps(rows: DeploymentQuerySet) -> DeploymentQuerySet:
    targets = Target.objects.select_related("server", "base_release").order_by("order").prefetch_related("steps")
    related = ("environment", "release", "rollback_of", "superseded_by")
    return rows.select_related(*related).prefetch_related(Prefetch("targets", queryset=targets))


def _steps(planned: Sequence[str], rows: Iterable[Step], now: datetime, usual: Mapping[str, float]) -> list[StepView]:
    """The latest record of each step, in the order of the plan; what the agent did beyond it (a revert) follows."""
    latest = {row.name: row for row in rows}
    names = [*planned, *(name for name in latest if name not in planned)]
    return [_step(name, latest.get(name), now, usual.get(name)) for name in names]


def _step(name: str, row: Step | None, now: datetime, usual: float | None) -> StepView:
    if row is None:
        return StepView(name, PENDING, None, {}, usual)
    seconds = row.seconds
    if row.state == StepState.RUNNING:
        # the host stamped its begin; a wrong clock there must not show a negative time
        seconds = max(0.0, (now - row.started_at).total_seconds())
    return StepView(name, row.state, seconds, row.facts or {}, usual)
