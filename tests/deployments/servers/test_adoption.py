"""Taking over what a server says about itself, from real servers."""

from pathlib import Path
from typing import Any

import pytest

from deployments.audit import trail
from deployments.execution.run import execute
from deployments.lifecycle import Status, StepState
from deployments.models import AuditEvent, Deployment, Environment, Release, Server
from deployments.releases.artifacts import manifest_on_servers, only_known, open_release
from deployments.servers.adoption import Adopted, adopt_server
from engine.errors import Conflict, EnvironmentBusy, InvalidRequest
from engine.remote.history import past_runs
from tests.deployments.management.test_exit_codes import beside, held, wrong_version
from tests.fixtures.fleet import Fleet
from tests.stories.running import GO, go_on, rehearse

pytestmark = pytest.mark.hosts


def forget(fleet: Fleet) -> None:
    """The portal's memory as it was before anything was deployed: restored from an old backup."""
    Deployment.objects.all().delete()
    Server.objects.update(current_release=None, previous_release=None, secret_versions={}, config_digest="")
    Environment.objects.update(fence=0)
    Release.objects.all().delete()


def another_tree(tree: Path) -> None:
    """The same version with another content."""
    (tree / "dicebot/__init__.py").write_text('"""Another."""\n')


def adopt(fleet: Fleet) -> Adopted:
    return adopt_server(actor=fleet.actor, server=fleet.server(), application="dice-bot")


def test_what_was_deployed_without_this_portal_becomes_its_history(fleet: Fleet) -> None:
    fleet.enrol()
    good = fleet.release("1.0.0")
    fleet.deploy(good)
    fleet.deploy(fleet.release("1.1.0", wrong_version))
    remembered = list(Deployment.objects.order_by("pk").values_list("status", "sentence", "requested_by", "fence"))
    files = manifest_on_servers(good, ["bot"])
    forget(fleet)

    adopted = adopt(fleet)
    first, second = adopted.deployments
    assert [(row.status, row.requested_by, row.fence) for row in adopted.deployments] == [
        (status, requested_by, fence) for status, _, requested_by, fence in remembered
    ]
    assert (first.status, second.status) == (Status.SUCCEEDED, Status.ROLLED_BACK)
    assert first.release.identifier == good.identifier
    assert first.seconds is not None
    steps = first.targets.get().steps.values_list("name", "state")
    assert ("verify", StepState.OK) in list(steps)
    assert second.targets.get().status == "reverted"
    server = fleet.server()
    assert server.current_release is not None
    assert only_known(server.current_release)
    assert manifest_on_servers(server.current_release, ["bot"]).rows == files.rows
    assert fleet.environment.fence == adopted.fence == remembered[-1][3]
    assert AuditEvent.objects.filter(name="deployment.imported").count() == 2
    assert not trail.verify()


def test_adopting_again_imports_nothing_twice(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    assert adopt(fleet).deployments == []  # the portal's own
    forget(fleet)
    assert len(adopt(fleet).deployments) == 1
    assert adopt(fleet).deployments == []


def test_afterwards_the_portal_deploys_again_and_sends_only_what_changed(fleet: Fleet) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    fleet.deploy(fleet.release("1.1.0"))
    forget(fleet)
    refused = fleet.deploy(fleet.release("1.2.0"))
    assert (refused.status, refused.outcome) == (Status.FAILED, "fence_outdated")
    adopt(fleet)
    deployed = fleet.deploy(fleet.release("1.3.0"))
    assert deployed.status == Status.SUCCEEDED, deployed.sentence
    stage: dict[str, Any] = deployed.targets.get().steps.get(name="stage").facts
    assert stage["received"] == 1  # VERSION
    assert fleet.current().startswith("1.3.0-")


def test_a_server_on_which_nothing_runs_is_adopted_as_such(fleet: Fleet) -> None:
    fleet.enrol()
    adopted = adopt(fleet)
    assert (adopted.release, adopted.fence, adopted.deployments) == (None, 0, [])


def test_a_server_that_is_busy_is_not_adopted(fleet: Fleet) -> None:
    fleet.enrol()
    deployment = fleet.request(fleet.release("1.0.0"))
    with pytest.raises(EnvironmentBusy):
        adopt(fleet)
    rehearse(fleet.machines[0], "restart", GO)
    thread = beside(lambda: execute(deployment.pk))
    held()
    Deployment.objects.filter(pk=deployment.pk).update(status=Status.CANCELLED, finished_at=deployment.requested_at)
    with pytest.raises(EnvironmentBusy) as caught:
        adopt(fleet)
    assert caught.value.reason == "host_locked"
    go_on(fleet.machines[0])
    thread.join(60)


def test_a_release_known_from_a_server_cannot_be_deployed_until_its_artifact_is_here(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    forget(fleet)
    known = adopt(fleet).release
    assert known is not None
    with pytest.raises(InvalidRequest) as caught:
        open_release(known)
    assert caught.value.reason == "artifact_missing"
    (tmp_path / "again").mkdir()
    again = Fleet(fleet.provisioned, tmp_path / "again")
    built = again.release("1.0.0")
    assert built.pk == known.pk
    with open_release(built) as reader:
        assert reader.release_id == known.identifier


def test_a_version_that_runs_with_another_content_is_not_taken_for_ours(fleet: Fleet, tmp_path: Path) -> None:
    fleet.enrol()
    fleet.deploy(fleet.release("1.0.0"))
    forget(fleet)
    (tmp_path / "other").mkdir()
    other = Fleet(fleet.provisioned, tmp_path / "other")
    ours = other.release("1.0.0", another_tree)
    theirs = adopt(fleet).release
    assert theirs is not None
    assert theirs.pk != ours.pk
    assert theirs.version == theirs.identifier
    (tmp_path / "third").mkdir()
    with pytest.raises(Conflict):
        Fleet(fleet.provisioned, tmp_path / "third").release("1.0.0")


def test_a_torn_line_and_a_run_without_an_end_are_left_alone() -> None:
    lines = [
        b'{"kind":"run","deployment":"1","fence":1,"at":"2026-01-01T00:00:00+00:00","plan":{"release":"1.0.0-a"}}',
        b'{"kind":"step","deployment":"1","fence":1,"step":"stage","state":"begin"}',
        b'{"kind":"step","deployment":"1","fence":1,"step":"stage","state":"ok","seconds":0.1}',
        b'{"kind":"result","deployment":"1","fence":1,"status":"succ',
        b"[]",
        b'{"kind":"result","deployment":"2","fence":2,"status":"succeeded"}',
    ]
    (run,) = past_runs(lines)
    assert not run.ended
    assert [step["step"] for step in run.steps] == ["stage"]


def test_a_success_that_was_reverted_later_counts_as_reverted() -> None:
    lines = [
        b'{"kind":"run","deployment":"1","fence":1,"plan":{}}',
        b'{"kind":"result","deployment":"1","fence":1,"status":"succeeded"}',
        b'{"kind":"reverting","deployment":"1","fence":1}',
        b'{"kind":"result","deployment":"1","fence":1,"status":"reverted"}',
    ]
    (run,) = past_runs(lines)
    assert run.result is not None
    assert run.result["status"] == "reverted"
