"""Where a deployment's time went, from its record."""

import io
import json
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.utils import timezone

from deployments.execution.spans import PORTAL, RUN, SPANS, Span, spans, waited
from deployments.lifecycle import Status
from deployments.models import Deployment
from tests.deployments.execution.conftest import Scene
from tests.deployments.world import World

WAY = ["connects", "reads files", "makes plan", "agent starts"]


def test_every_part_of_a_deployment_has_its_span_once_and_they_fit_into_its_time(scene: Scene) -> None:
    row = scene.deploy()
    assert row.status == Status.SUCCEEDED, row.sentence
    found = spans(row)
    assert [span.what for span in found if span.where == PORTAL] == ["waits for a worker", "prepares", "concludes"]
    for target in row.targets.select_related("server"):
        mine = [span for span in found if span.where == target.server.name]
        assert [span.what for span in mine] == [*WAY, *row.sealed.plan.steps, "prune", "agent ends"]
        assert target.started_at is not None
        assert target.finished_at is not None
        assert sum(span.seconds for span in mine) <= (target.finished_at - target.started_at).total_seconds() + 0.01
    assert all(span.seconds >= 0 for span in found)


def test_a_deployment_that_nobody_has_begun_has_waited_and_nothing_else(scene: Scene) -> None:
    assert spans(scene.ask()) == []


def test_what_is_known_of_a_server_that_failed_is_told(scene: Scene) -> None:
    scene.hosts["one"].machine.says_no("sudo", "Sorry, user rosey may not run sudo here.")
    found = spans(scene.deploy())
    assert [span.what for span in found if span.where == "one"] == [*WAY, "preflight", "agent ends"]
    assert not [span for span in found if span.where == "two"]


def test_the_command_tells_them(scene: Scene) -> None:
    release, out = scene.releases[0].identifier, io.StringIO()
    call_command("deploy", "test", "--release", release, "--inline", "--timings", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert {span["where"] for span in told["timings"]} == {"portal", "one", "two"}
    assert all(set(span) == {"where", "what", "seconds"} for span in told["timings"])


def test_each_moment_of_the_record_is_where_one_span_ends_and_the_next_begins(world: World) -> None:
    row, began = world.request(), timezone.now()

    def at(second: int) -> Any:
        return began + timedelta(seconds=second)

    moments = {"requested_at": at(0), "queued_at": at(10), "started_at": at(13), "finished_at": at(60)}
    Deployment.objects.filter(pk=row.pk).update(**moments)
    first, other = row.targets.get(), row.targets.create(server=world.servers["test"], order=9)
    for target, begin, end, marks in (
        (first, 14, 20, {RUN: 3.5, "agent starts": 0.5, "connects": 1.0}),
        (other, 21, 56, {RUN: 1.0}),
    ):
        target.started_at, target.finished_at, target.facts = at(begin), at(end), {SPANS: marks}
        target.save()
        for name, seconds in (("stage", 1.25), ("verify", 0.75), ("prune", None)):
            target.steps.create(name=name, state="ok", started_at=at(begin), seconds=seconds)
    row.refresh_from_db()
    portal = [Span(PORTAL, "waits for approval", 10.0), Span(PORTAL, "waits for a worker", 3.0)]
    stage, verify = (("stage", 1.25), ("verify", 0.75))
    there = [("connects", 1.0), ("agent starts", 0.5), stage, verify, ("agent ends", 1.5)]
    assert spans(row) == [
        *portal,
        Span(PORTAL, "prepares", 1.0),
        *(Span("production-1", what, seconds) for what, seconds in there),
        *(Span("test-1", what, seconds) for what, seconds in (stage, verify, ("agent ends", 0.0))),
        Span(PORTAL, "concludes", 4.0),
    ]
    Deployment.objects.filter(pk=row.pk).update(verified_at=at(58))
    row.refresh_from_db()
    assert spans(row)[-1] == Span(PORTAL, "concludes", 2.0), "what comes after is no part of it"


def test_what_a_worker_waited_for_counts_from_the_end_of_what_came_before() -> None:
    assert waited([100.0, 101.5, 102.0, 102.25, 102.5, 110.0]) == {
        "reads files": 0.5,
        "connects": 1.5,
        "makes plan": 0.25,
        "agent starts": 0.25,
        "agent works": 7.5,
    }
