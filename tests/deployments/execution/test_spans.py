"""Where a deployment's time went, from its record."""

import io
import json

from django.core.management import call_command

from deployments.execution.spans import PORTAL, spans
from deployments.lifecycle import Status
from tests.deployments.execution.conftest import Scene

WAY = ["reads files", "connects", "makes plan", "agent starts"]


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
