"""What speaks against a release, in the words of what or who said no: an error, or the reason of a rejection."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F, OuterRef, Subquery

from deployments.lifecycle import StepState
from deployments.models import Deployment, LogLine
from deployments.requests.release_records import Happening, ReleaseRecord

_OF_PROGRAMS = ("journal", "output", "stderr", "stdout")
"""Streams of what a release's own programs wrote: the agent and the portal say the rest."""
_NEAR = 200
"""Lines at the end of a log in which an error is looked for: a deployment ends soon after the step that failed."""


@dataclass(frozen=True)
class Objection:
    """A deployment of it that did not end well: the sentence it ended with, and the error that its program wrote."""

    happening: Happening
    said: str
    error: str


def objections_to(record: ReleaseRecord) -> list[Objection]:
    """Those of a release, the latest first. Two queries, none where nothing speaks against it."""
    bad = {one.deployment: one for one in reversed(record.history) if one.bad and one.deployment is not None}
    if not bad:
        return []
    said = dict(Deployment.objects.filter(pk__in=bad).values_list("pk", "sentence"))
    errors = errors_of(bad)
    return [Objection(one, said.get(pk, ""), errors[pk].text if pk in errors else "") for pk, one in bad.items()]


def errors_of(deployments: Iterable[int]) -> dict[int, LogLine]:
    """By deployment the last line that a program wrote in a step that failed there, near the log's end. One query."""
    near = LogLine.objects.filter(deployment=OuterRef(OuterRef("pk"))).order_by("-pk").values("pk")[:_NEAR]
    failed = LogLine.objects.filter(
        pk__in=near,
        stream__in=_OF_PROGRAMS,
        target__steps__state=StepState.FAILED,
        target__steps__name=F("step"),
    )
    rows = Deployment.objects.filter(pk__in=list(deployments)).order_by()
    last = rows.values(last=Subquery(failed.order_by("-pk").values("pk")[:1]))
    return {line.deployment_id: line for line in LogLine.objects.filter(pk__in=last).select_related("target__server")}
