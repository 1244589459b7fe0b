"""Where the time of a deployment went: spans of the portal, of the way to each server, and of the agent's steps.

A worker notes what it waited for while it runs a server (`waited`), kept with the target's facts; the agent's steps and
the moments of the record tell the rest (`spans`). Nobody measures again, so every deployment can be asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from deployments.models import Deployment, Target

SPANS = "spans"
"""Where a target's facts keep the worker's marks, in seconds."""
PORTAL = "portal"
READS, CONNECTS, PLANS, AGENT, RUN = "reads files", "connects", "makes plan", "agent starts", "agent works"
_WAY = (CONNECTS, READS, PLANS, AGENT)
"""In their order, which not every database keeps."""


@dataclass(frozen=True)
class Span:
    """So many seconds for one thing, at the portal or on a server."""

    where: str
    what: str
    seconds: float


def waited(moments: Sequence[float]) -> dict[str, float]:
    """What one server's worker waited for, one after the other: by when it began and when each ended."""
    return {what: round(end - begin, 4) for what, (begin, end) in zip((*_WAY, RUN), pairwise(moments), strict=True)}


def spans(deployment: Deployment) -> list[Span]:
    """In order: the portal before, each server, the portal after. A moment that is not recorded leaves its span out."""
    targets = list(deployment.targets.all())
    begun = min((target.started_at for target in targets if target.started_at), default=None)
    ended = max((target.finished_at for target in targets if target.finished_at), default=None)
    end = deployment.verified_at or deployment.finished_at
    asked = deployment.requested_at if deployment.sealed.policy.approvals_required else None
    moments = (
        ("waits for approval", asked, deployment.queued_at),
        ("waits for a worker", deployment.queued_at, deployment.started_at),
        ("prepares", deployment.started_at, begun),
    )
    after = _between([("concludes", ended, end)])
    return [*_between(moments), *(span for target in targets for span in _of_server(target)), *after]


def _between(moments: Iterable[tuple[str, datetime | None, datetime | None]]) -> list[Span]:
    known = [(what, begin, end) for what, begin, end in moments if begin is not None and end is not None]
    return [Span(PORTAL, what, (end - begin).total_seconds()) for what, begin, end in known]


def _of_server(target: Target) -> list[Span]:
    """The way there, the agent's steps, and what it needed beside them: its end, and the way back of its answer."""
    name, marks = target.server.name, dict(target.facts.get(SPANS, {}))
    run = marks.pop(RUN, None)
    steps = [Span(name, step.name, step.seconds) for step in target.steps.all() if step.seconds is not None]
    rest = [] if run is None else [Span(name, "agent ends", max(0.0, run - sum(step.seconds for step in steps)))]
    return [*(Span(name, what, marks[what]) for what in _WAY if what in marks), *steps, *rest]
