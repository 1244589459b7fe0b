"""What becomes of a deployment whose worker died, by what its servers say; nothing is ever run a second time."""

import fcntl
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.core import queueing
from deployments.core.actors import Actor, system_actor
from deployments.execution import reaper, run, verdict
from deployments.execution.claims import claim
from deployments.execution.reaper import call_for_settling, look_after, reap
from deployments.execution.run import execute
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import AuditEvent, Deployment, Target
from deployments.requests.rollbacks import request_rollback
from tests.deployments.execution.conftest import UNIT, Scene
from tests.deployments.execution.test_run import said, targets
from tests.fixtures.scripted_server import ScriptedHost, until


def stay_away_after(host: ScriptedHost, verb: str, heard: int = 400) -> None:
    """The line to a server is cut in the middle of a verb, and it cannot be reached any more."""

    def for_good(asked: str, so_far: int) -> bool:
        host.refuses = host.refuses or (asked == verb and so_far > heard)
        return host.refuses

    host.cuts = for_good


def come_back(host: ScriptedHost) -> None:
    """It answers again, once the agent whose line was cut has come to its end."""
    until(lambda: _at_rest(host))
    host.refuses, host.cuts = False, lambda verb, heard: False


def _at_rest(host: ScriptedHost) -> bool:
    with (host.root / ".deploy" / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def expired(row: Deployment, started_ago: timedelta = timedelta(0)) -> Deployment:
    """Its worker is dead, for so long."""
    now = timezone.now()
    Deployment.objects.filter(pk=row.pk).update(lease_until=now - timedelta(seconds=1), started_at=now - started_ago)
    row.targets.exclude(started_at=None).update(started_at=now - started_ago)
    row.refresh_from_db()
    return row


def again(row: Deployment) -> Deployment:
    row.refresh_from_db()
    return row


@pytest.fixture
def stranded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A worker that lost its server in the middle of a run, and died."""
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)
    stay_away_after(scene.hosts["one"], "run")
    row = scene.deploy()
    assert row.status == Status.RUNNING
    return expired(row)


def test_a_server_that_answers_again_tells_how_it_ended(scene: Scene, stranded: Deployment) -> None:
    come_back(scene.hosts["one"])
    assert reap(timeout=20.0) == [stranded.pk]
    row = again(stranded)
    # the first server succeeded by itself; the second one was never begun, so the first one goes back
    assert (row.status, row.outcome) == (Status.ROLLED_BACK, "worker_lost"), (row.sentence, targets(row))
    assert targets(row) == {"one": ("reverted", "reverted_on_request"), "two": ("skipped", "")}
    assert scene.runs() == {"one": None, "two": None}
    assert AuditEvent.objects.get(name="deployment.rolled_back").actor == "system:reaper"
    assert scene.hosts["one"].asked.count("run") == 2, "asked for an agent it did not have, and run once"


def test_a_claim_that_never_reached_its_server_is_outdated_there(scene: Scene) -> None:
    row = scene.ask()
    taken = claim(row.pk)
    assert taken is not None
    Target.objects.filter(deployment=row, server__name="one").update(status=TargetStatus.RUNNING)
    expired(row)
    assert reap() == [row.pk]
    row = again(row)
    assert (row.status, row.outcome) == (Status.FAILED, "not_started"), (row.sentence, targets(row))
    assert taken.deployment.fence is not None
    assert row.fence is not None
    assert row.fence > taken.deployment.fence
    assert scene.runs() == {"one": None, "two": None}


def test_a_worker_that_lives_is_left_alone(scene: Scene) -> None:
    row = scene.ask()
    assert claim(row.pk) is not None
    assert reap() == []
    assert again(row).status == Status.RUNNING


def test_a_server_that_does_not_answer_is_asked_for_half_an_hour(scene: Scene, stranded: Deployment) -> None:
    assert reap() == []
    assert again(stranded).status == Status.RUNNING
    expired(stranded, reaper.GIVE_UP - timedelta(minutes=1))
    assert reap() == []
    expired(stranded, reaper.GIVE_UP + timedelta(minutes=1))
    assert reap() == [stranded.pk]
    row = again(stranded)
    assert (row.status, row.outcome) == (Status.INTERRUPTED, "host_unreachable")
    assert "one could not be asked how it ended" in row.sentence
    assert "Look at one and then roll back or deploy again" in row.sentence
    assert AuditEvent.objects.filter(name="deployment.interrupted").count() == 1


def test_a_record_is_completed_when_its_server_answers_at_last(scene: Scene, stranded: Deployment) -> None:
    expired(stranded, reaper.GIVE_UP + timedelta(minutes=1))
    reap()
    assert not look_after(stranded.pk), "it does not answer yet"
    came_back_after = again(stranded).finished_at
    come_back(scene.hosts["one"])
    assert reap() == [stranded.pk]
    row = again(stranded)
    assert (row.status, row.outcome) == (Status.ROLLED_BACK, "worker_lost"), (row.sentence, targets(row))
    assert row.finished_at == came_back_after, "it ended when it was interrupted"
    ends = AuditEvent.objects.filter(name__in=["deployment.interrupted", "deployment.rolled_back"]).order_by("sequence")
    assert [(event.name, event.data["late"]) for event in ends] == [
        ("deployment.interrupted", False),
        ("deployment.rolled_back", True),
    ]
    assert reap() == [], "and is done"


def test_what_somebody_deployed_since_is_not_touched_by_an_old_record(scene: Scene, stranded: Deployment) -> None:
    expired(stranded, reaper.GIVE_UP + timedelta(minutes=1))
    reap()
    come_back(scene.hosts["one"])
    newer = scene.deploy(1)
    assert newer.status == Status.SUCCEEDED, targets(newer)
    assert reap() == []
    assert again(stranded).status == Status.INTERRUPTED
    assert scene.runs() == {"one": "2.0.0", "two": "2.0.0"}


def test_who_cancels_does_not_wait_half_an_hour_for_a_server_that_is_off(scene: Scene, stranded: Deployment) -> None:
    Deployment.objects.filter(pk=stranded.pk).update(cancel_requested_by="olga")
    assert reap() == [stranded.pk]
    assert again(stranded).status == Status.INTERRUPTED


def test_an_activated_server_that_cannot_be_reverted_needs_a_person(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every sentence about it says so: not every server runs what it ran before."""
    scene.deploy(0)
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "active")
    stay_away_after(scene.hosts["one"], "revert", heard=0)
    row = scene.deploy(1)
    assert row.active, "it is asked again for a while"
    assert reap() == []
    expired(row, reaper.GIVE_UP + timedelta(minutes=1))
    assert reap() == [row.pk]
    row = again(row)
    assert (row.status, row.outcome) == (Status.INTERRUPTED, "host_unreachable")
    assert row.sentence.startswith("one was activated and could not be reverted: ")
    assert "Every server runs what it ran before" not in row.sentence
    assert targets(row)["two"] == ("reverted", "unit_not_active")


def test_an_activated_server_that_has_heard_of_a_newer_attempt_needs_a_person(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.deploy(0)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "active")
    record = scene.hosts["one"].root / ".deploy" / "fence"
    reverting = verdict._reverted

    def outdated(*arguments: Any, **more: Any) -> bool:
        record.write_text('[1000, "77"]')
        return reverting(*arguments, **more)

    monkeypatch.setattr(verdict, "_reverted", outdated)
    row = scene.deploy(1)
    assert row.status == Status.INTERRUPTED, (row.sentence, targets(row))
    assert targets(row)["one"] == ("interrupted", "fence_outdated")


def test_a_settling_that_raises_is_tried_again_and_told_in_the_end(
    scene: Scene, stranded: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **more: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(reaper, "conclude", broken)
    come_back(scene.hosts["one"])
    assert reap(timeout=5.0) == []
    row = again(stranded)
    assert row.status == Status.RUNNING
    assert row.lease_until is not None
    assert row.lease_until <= timezone.now(), "the next reaper may have it at once"
    expired(stranded, reaper.GIVE_UP + timedelta(minutes=1))
    assert reap() == [stranded.pk]
    row = again(stranded)
    assert (row.status, row.outcome) == (Status.INTERRUPTED, "not_settled")
    assert "ZeroDivisionError" in row.sentence


def test_one_that_cannot_be_settled_does_not_keep_the_others_waiting(
    scene: Scene, stranded: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = reaper.settle
    asked = []

    def noted(deployment: Deployment, *, timeout: float = 0.0) -> bool:
        asked.append(deployment.pk)
        return settle(deployment, timeout=timeout)

    monkeypatch.setattr(reaper, "settle", noted)
    assert look_after(stranded.pk + 1) is False
    assert asked == []
    assert look_after(stranded.pk) is False
    assert asked == [stranded.pk]


def test_each_is_called_for_by_a_task_of_its_own(stranded: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr(queueing, "enqueue_settling", called.append)
    assert call_for_settling() == [stranded.pk]
    assert called == [stranded.pk]


def test_what_nobody_has_is_queued_again_and_what_waits_is_not(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    row = scene.ask()
    queued: list[tuple[int, bool]] = []
    monkeypatch.setattr(queueing, "enqueue_execution", lambda pk, *, rescue: queued.append((pk, rescue)))
    long_ago = timezone.now() - reaper.QUEUED_TOO_LONG - timedelta(seconds=1)
    monkeypatch.setattr(queueing, "waits", lambda *_: False)
    reap()
    assert queued == [], "it was queued just now"
    Deployment.objects.filter(pk=row.pk).update(queued_at=long_ago)
    monkeypatch.setattr(queueing, "waits", lambda *_: True)
    reap()
    assert queued == [], "a task waits for it"
    monkeypatch.setattr(queueing, "waits", lambda *_: False)
    reap()
    assert queued == [(row.pk, False)]


def test_a_cancellation_that_did_not_reach_its_server_is_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = scene.ask()
    claim(row.pk)
    called: list[int] = []
    monkeypatch.setattr(queueing, "enqueue_cancellation", called.append)
    reap()
    assert called == []
    Deployment.objects.filter(pk=row.pk).update(cancel_requested_by="olga")
    reap()
    assert called == [row.pk]


def test_a_rollback_that_waits_for_nothing_any_more_is_queued(scene: Scene, actor: Actor) -> None:
    scene.deploy(0)
    scene.deploy(1)
    running = scene.ask(1)
    claim(running.pk)
    back = request_rollback(actor=actor, environment=scene.home, reason="It is worse.")
    assert (back.kind, back.status) == (Kind.ROLLBACK, Status.AWAITING_APPROVAL)
    reap()
    assert again(back).status == Status.AWAITING_APPROVAL, "what it waits for still runs"
    now = timezone.now()
    Deployment.objects.filter(pk=running.pk).update(status=Status.FAILED, finished_at=now, lease_until=None)
    reap()
    assert again(back).status == Status.QUEUED
    event = AuditEvent.objects.get(name="rollback.queued")
    assert (event.actor, event.data["after"]) == ("system:queue", running.pk) or event.data["seal"] == again(back).seal
    assert execute(back.pk) == Status.SUCCEEDED
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}


@pytest.fixture
def actor(scene: Scene) -> Actor:
    return scene.actor


def test_the_reaper_does_nothing_twice(scene: Scene, stranded: Deployment) -> None:
    come_back(scene.hosts["one"])
    assert reap(timeout=20.0) == [stranded.pk]
    lines = said(again(stranded))
    assert reap() == []
    assert said(again(stranded)) == lines
    assert str(system_actor("reaper")) == "system:reaper"
