"""When a worker stops in the middle: somebody cancels, another one has taken over, or it restarts itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from deployments.core import read_only
from deployments.execution import run, silences
from deployments.execution.host_inquiry import ASKED
from deployments.execution.reaper import reap
from deployments.execution.run import HANDED_OVER, execute, listener
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Server
from tests.deployments.execution.conftest import Scene
from tests.deployments.execution.test_reaper import come_back
from tests.deployments.execution.test_run import about, targets
from tests.fixtures.scripted_server import ScriptedHost


def while_it_runs(host: ScriptedHost, act: Callable[[], object]) -> None:
    """Once, in the middle of this server's next run."""
    done: list[bool] = []

    def cuts(verb: str, heard: int) -> bool:
        if verb == "run" and not done:
            done.append(True)
            try:
                act()
            finally:
                connection.close()  # this thread's
        return False

    host.cuts = cuts


def test_who_cancels_between_two_rounds_has_the_first_one_taken_back(scene: Scene) -> None:
    scene.deploy(0)
    row = scene.ask(1)
    rows = Deployment.objects.filter(pk=row.pk)
    while_it_runs(scene.hosts["one"], lambda: rows.update(cancel_requested_by="olga"))
    assert execute(row.pk) == Status.CANCELLED
    row.refresh_from_db()
    assert (row.outcome, row.sentence) == (
        "cancelled",
        "Cancelled by olga. Every server runs what it ran before.",
    )
    assert targets(row) == {"one": ("reverted", "reverted_on_request"), "two": ("skipped", "")}
    assert scene.hosts["two"].began == 1, "by the first deployment"
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}
    assert AuditEvent.objects.filter(name="deployment.cancelled", actor="system:worker").count() == 1


def test_who_has_been_taken_over_from_begins_and_writes_nothing_more(scene: Scene) -> None:
    row, other = scene.ask(), uuid4()
    rows = Deployment.objects.filter(pk=row.pk)
    while_it_runs(scene.hosts["one"], lambda: rows.update(claim=other))
    assert execute(row.pk) == Status.RUNNING
    row.refresh_from_db()
    assert (row.claim, row.sentence) == (other, "")
    assert row.lease_until is not None
    assert row.lease_until > timezone.now(), "the other one's"
    assert targets(row) == {"one": ("running", ""), "two": ("waiting", "")}
    assert scene.hosts["two"].began == 0
    assert not AuditEvent.objects.filter(name="deployment.succeeded").exists()


def test_a_worker_that_fails_leaves_it_to_the_reaper_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(run, "HostPlans", broken)
    row = scene.ask()
    assert execute(row.pk) == Status.RUNNING
    row.refresh_from_db()
    assert row.lease_until is not None
    assert row.lease_until <= timezone.now()
    assert f"deployment {row.pk}: the worker failed, the reaper will settle it" in caplog.text
    assert reap() == [row.pk]
    row.refresh_from_db()
    assert (row.status, row.outcome) == (Status.FAILED, "worker_lost")
    assert row.sentence == "The worker ended before the deployment did. Nothing had been changed."


def test_an_artifact_that_is_gone_when_it_begins_is_refused_on_every_server(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(scene.releases[0].artifact.path)
    monkeypatch.setattr(silences, "begin", lambda deployment: path.unlink())
    row = scene.ask()
    assert execute(row.pk) == Status.FAILED
    row.refresh_from_db()
    assert row.outcome == "artifact_elsewhere"
    assert targets(row) == {"one": ("failed", "artifact_elsewhere"), "two": ("failed", "artifact_elsewhere")}
    assert all(target.sentence == row.sentence for target in row.targets.all())
    assert [host.asked for host in scene.hosts.values()] == [[], []]


def test_of_a_server_that_was_not_reached_the_record_says_that_nobody_looked(scene: Scene) -> None:
    scene.hosts["one"].refuses = True
    row = scene.deploy()
    target = row.targets.get(server__name="one")
    assert (target.outcome, target.facts[ASKED]) == ("host_unreachable", False)
    assert target.facts["run_fence"] == row.fence
    assert target.started_at is not None
    assert row.targets.get(server__name="two").started_at is None


def test_the_portals_own_server_goes_on_alone_and_the_next_worker_writes_the_end(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = scene.hosts["two"]
    (tmp_path / "ssh_host_ed25519_key.pub").write_text(f"{two.host_key} root@ops\n")
    monkeypatch.setattr(read_only, "HOST_KEYS", tmp_path)
    sealed: list[Any] = []

    def as_portal(recorder: Any, target: Any, server: Any) -> Any:
        sealed.append(server.server)
        return listener(recorder, target, server.model_copy(update={"roles": ("portal", *server.roles)}))

    monkeypatch.setattr(run, "listener", as_portal)
    row = scene.ask()
    assert execute(row.pk) == Status.RUNNING
    row.refresh_from_db()
    assert sealed == ["one", "two"]
    assert targets(row) == {"one": ("succeeded", "verified"), "two": ("running", "")}
    assert about(row, HANDED_OVER) == ["two"]
    assert row.lease_until is not None
    assert row.lease_until <= timezone.now(), "whoever comes next may have it at once"
    come_back(two)
    assert reap(timeout=20.0) == [row.pk]
    row.refresh_from_db()
    assert (row.status, row.outcome) == (Status.SUCCEEDED, "verified"), row.sentence
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}
    live = Server.objects.filter(environment=scene.home).values_list("current_release", flat=True)
    assert set(live) == {scene.releases[0].pk}
