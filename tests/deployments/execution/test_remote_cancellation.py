"""Ending what agents do for a deployment, from another process than its worker's: what is ended, said and asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from deployments.execution import remote_cancellation as module
from deployments.execution.claims import Claimed, claim, hand_over
from deployments.execution.remote_cancellation import cancel_remote
from deployments.execution.run import execute
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment
from deployments.requests.cancellation import cancel
from engine.host.agent.tree import Tree
from tests.deployments.execution.conftest import Scene
from tests.deployments.execution.test_rounds import policy
from tests.deployments.execution.test_run import targets
from tests.engine.host.runs import rehearse
from tests.fixtures.scripted_server import ScriptedHost, until


def held(host: ScriptedHost) -> Path:
    """Have its next run stop before the restart and go on by no means; what is there once it has come so far."""
    here = host.root / "held"
    rehearse(Tree(str(host.root)), "restart", f"touch {here}; exec sleep 600")
    return here


@contextmanager
def carried_out(row: Deployment) -> Iterator[None]:
    """By a worker beside the test; it has come to its end when this has."""

    def work() -> None:
        try:
            execute(row.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(120)
    assert not thread.is_alive()
    row.refresh_from_db()


def test_what_runs_is_ended_on_every_server_of_the_round_and_nowhere_else(scene: Scene) -> None:
    scene.add("x3", "x4")
    policy(scene, batch=2)
    scene.deploy(0)
    row = scene.ask(1)
    waiting = [held(scene.hosts[name]) for name in ("two", "x3")]
    with carried_out(row):
        until(lambda: all(each.exists() for each in waiting))
        cancel(actor=scene.actor, deployment=row)
        said = cancel_remote(row.pk)
    assert said.count("The server is back on ") == 1, "what two servers say alike is said once"
    assert (row.status, row.outcome) == (Status.CANCELLED, "cancelled"), row.sentence
    assert row.sentence.startswith("Cancelled by olga. ")
    assert {name: status for name, (status, _) in targets(row).items()} == {
        "one": "reverted",
        "two": "cancelled",
        "x3": "cancelled",
        "x4": "skipped",
    }
    assert set(scene.runs().values()) == {"1.0.0"}
    assert [name for name, host in scene.hosts.items() if "cancel" in host.asked] == ["two", "x3"]
    assert cancel_remote(row.pk) == "Nothing was running on any server.", "it has ended"


@pytest.fixture
def away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """One that a worker has, whose first server cannot be reached any more, and that is asked once."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    row = scene.ask()
    claimed = claim(row.pk)
    assert claimed is not None
    row.targets.filter(server__name="one").update(status=TargetStatus.RUNNING)
    scene.hosts["one"].refuses = True
    cancel(actor=scene.actor, deployment=claimed.deployment)
    return claimed.deployment


def test_a_server_that_does_not_answer_is_named_and_left_to_its_worker(scene: Scene, away: Deployment) -> None:
    said = cancel_remote(away.pk)
    assert "127.0.0.1" in said
    away.refresh_from_db()
    assert away.status == Status.RUNNING
    assert scene.hosts["two"].asked == [], "nothing of it runs there"


def test_where_the_worker_is_dead_the_one_who_cancels_settles_it(scene: Scene, away: Deployment) -> None:
    assert away.claim is not None
    hand_over(Claimed(away, away.claim))
    cancel_remote(away.pk)
    away.refresh_from_db()
    assert (away.status, away.outcome) == (Status.INTERRUPTED, "host_unreachable"), away.sentence


@pytest.mark.parametrize(("left", "settled"), [(0, True), (1, False)])
def test_a_lease_that_ends_now_has_run_out(
    away: Deployment, monkeypatch: pytest.MonkeyPatch, left: int, settled: bool
) -> None:
    now, called = timezone.now(), list[int]()
    monkeypatch.setattr(module, "settle", lambda row: called.append(row.pk))
    monkeypatch.setattr(timezone, "now", lambda: now)
    Deployment.objects.filter(pk=away.pk).update(lease_until=now + timedelta(microseconds=left))
    cancel_remote(away.pk)
    assert called == ([away.pk] if settled else [])


def test_one_that_says_far_too_much_is_not_asked_again(
    scene: Scene, away: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 600.0)
    monkeypatch.setattr("engine.ssh.conversation.MOST_LINES_ALTOGETHER", 5)
    scene.hosts["one"].refuses = False
    scene.hosts["one"].says_instead = "Welcome!\n" * 50
    said = cancel_remote(away.pk)
    assert "more than it may" in said
    assert "It began with: Welcome!" in said
    assert scene.hosts["one"].asked == ["cancel"]
