"""Which deployments the reaper looks after, in which order, and which it leaves alone; no server is asked here."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core import queueing
from deployments.execution import reaper
from deployments.execution.claims import Claimed, claim
from deployments.execution.host_inquiry import Unsettled
from deployments.execution.reaper import GIVE_UP, KEEP_ASKING, QUEUED_TOO_LONG, UNREACHABLE, call_for_settling
from deployments.execution.recorder import Recorder
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import Deployment, Environment, Server, Target
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from tests.deployments.world import World

SECOND = timedelta(seconds=1)


def running(world: World, environment: str = "test", **changes: Any) -> Deployment:
    """One that a worker has whose lease ran out a second ago."""
    row = world.request(environment=environment)
    if environment == "production":
        approve(actor=world.people["approver"], deployment=row)
    assert claim(row.pk) is not None
    return changed(row, **{"lease_until": timezone.now() - SECOND, **changes})


def interrupted(world: World, environment: str = "test", **changes: Any) -> Deployment:
    """One whose server could not be asked."""
    now = timezone.now()
    usual = {"status": Status.INTERRUPTED, "outcome": UNREACHABLE, "finished_at": now - SECOND, "lease_until": None}
    return running(world, environment, **{**usual, **changes})


def changed(row: Deployment, **changes: Any) -> Deployment:
    Deployment.objects.filter(pk=row.pk).update(**changes)
    row.refresh_from_db()
    return row


@pytest.mark.parametrize("error", [Unsettled("It does not answer."), ZeroDivisionError()], ids=["away", "a fault"])
def test_to_complete_a_record_only_servers_are_asked_that_could_not_be(
    transactional_db: None,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    row = interrupted(world)
    ends = {
        "away": (TargetStatus.INTERRUPTED, UNREACHABLE),
        "half way": (TargetStatus.INTERRUPTED, "revert_failed"),
        "never reached": (TargetStatus.FAILED, UNREACHABLE),
    }
    row.targets.all().delete()
    for order, (name, (status, outcome)) in enumerate(ends.items()):
        server = Server.objects.create(name=name, environment=world.test, host=f"192.0.2.{order}")
        row.targets.create(server=server, order=order, status=status, outcome=outcome)
    asked: list[tuple[str, float]] = []

    def no_answer(claimed: Claimed, target: Target, recorder: Recorder, *, timeout: float) -> None:
        asked.append((target.server.name, timeout))
        raise error

    monkeypatch.setattr(reaper, "settle_target", no_answer)
    assert reaper.reap() == []
    assert not reaper.look_after(row.pk)
    assert asked == [("away", 0)] * 2, "at once, and without waiting"
    now = Deployment.objects.get(pk=row.pk)
    assert (now.status, now.outcome, now.finished_at) == (Status.INTERRUPTED, UNREACHABLE, row.finished_at)
    assert ("could not be completed" in caplog.text) is isinstance(error, ZeroDivisionError)
    assert not reaper.look_after(row.pk + 1)
    assert len(asked) == 2


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of those whose settling was called for."""
    called: list[int] = []
    monkeypatch.setattr(queueing, "enqueue_settling", called.append)
    return called


def test_protected_environments_come_first_and_what_was_interrupted_last(world: World, called: list[int]) -> None:
    old = interrupted(world)
    Environment.objects.create(name="staging")
    open_one = changed(old, environment=Environment.objects.get(name="staging"))
    lost, protected = running(world), running(world, "production")
    assert lost.pk < protected.pk
    assert call_for_settling() == [protected.pk, lost.pk, open_one.pk]
    assert called == [protected.pk, lost.pk, open_one.pk]


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_until": timezone.now() + timedelta(days=1)},
        {"status": Status.SUCCEEDED, "finished_at": timezone.now()},
        {"status": Status.QUEUED, "queued_at": timezone.now()},
    ],
    ids=["alive", "ended", "not begun"],
)
def test_what_has_not_lost_its_worker_is_left_to_it(world: World, called: list[int], changes: dict[str, Any]) -> None:
    running(world, **changes)
    assert call_for_settling() == called == []


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "not_restored"},
        {"status": Status.FAILED},
        {"finished_at": timezone.now() - KEEP_ASKING - timedelta(minutes=1)},
    ],
    ids=["nothing to learn", "known", "too long ago"],
)
def test_what_no_server_can_complete_any_more_is_asked_of_none(
    world: World, called: list[int], changes: dict[str, Any]
) -> None:
    interrupted(world, **changes)
    assert call_for_settling() == called == []


@pytest.mark.parametrize("where", ["there", "elsewhere"])
def test_who_was_followed_there_is_not_completed(world: World, called: list[int], where: str) -> None:
    row = interrupted(world)
    kept = interrupted(world, finished_at=timezone.now() - KEEP_ASKING + timedelta(minutes=1))
    assert row.fence is not None
    assert kept.fence is not None
    assert row.fence < kept.fence
    assert call_for_settling() == [kept.pk], "the newer one is the last that was done there"
    if where == "there":
        changed(world.request(environment="test"), status=Status.VERIFYING, lease_until=timezone.now() + GIVE_UP)
        assert call_for_settling() == []
    else:
        changed(running(world, "production"), fence=1000, lease_until=timezone.now() + GIVE_UP)
        assert call_for_settling() == [kept.pk]


def test_each_that_nobody_has_is_queued_again_where_its_kind_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = timezone.now() - QUEUED_TOO_LONG - SECOND
    lost = changed(world.request(environment="test"), queued_at=long_ago)
    back = world.request()
    changed(back, status=Status.QUEUED, kind=Kind.ROLLBACK, queued_at=long_ago)
    staging = Environment.objects.create(name="staging")
    fresh = Deployment.objects.create(
        environment=staging, release=world.releases[0], status=Status.QUEUED, queued_at=timezone.now() + GIVE_UP
    )
    queued: dict[int, bool] = {}
    monkeypatch.setattr(queueing, "enqueue_execution", lambda pk, *, rescue: queued.update({pk: rescue}))
    OrmQ.objects.all().delete()
    call_for_settling()
    assert queued == {lost.pk: False, back.pk: True}
    assert fresh.pk not in queued


def test_each_that_runs_and_is_to_end_is_cancelled_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = timezone.now() + GIVE_UP
    called: list[int] = []
    monkeypatch.setattr(queueing, "enqueue_cancellation", called.append)
    monkeypatch.setattr(queueing, "enqueue_settling", lambda number: None)
    wanted = running(world, cancel_requested_by="olga", lease_until=alive)
    other = running(world, "production", lease_until=alive)
    call_for_settling()
    assert called == [wanted.pk]
    changed(wanted, lease_until=timezone.now() - SECOND)
    changed(other, status=Status.CANCELLED, cancel_requested_by="olga", finished_at=timezone.now())
    call_for_settling()
    assert called == [wanted.pk], "its worker is dead: it is settled"


def test_half_an_hour_is_counted_from_the_last_server_that_was_begun(world: World) -> None:
    row, now = running(world), timezone.now()
    other = row.targets.get()
    second = Target(deployment=row, server=world.servers["production"], order=2, status=TargetStatus.RUNNING)
    changed(row, started_at=now - 2 * GIVE_UP)
    assert reaper._overdue(row, now)
    other.started_at, second.started_at = now - GIVE_UP - SECOND, now - GIVE_UP
    other.save()
    assert reaper._overdue(row, now)
    second.save()
    assert not reaper._overdue(row, now), "just half an hour"
    assert reaper._overdue(row, now + SECOND)
    row.targets.update(started_at=None)
    assert reaper._overdue(changed(row, started_at=None), now), "nobody knows when"


def test_a_rollback_waits_for_what_runs_in_its_own_environment_alone(world: World) -> None:
    for environment in ("test", "production"):
        for release in world.releases:
            world.succeeded(release, environment)
    homes = {name: Environment.objects.get(name=name) for name in ("test", "production")}
    waiting = {
        name: Deployment.objects.create(
            environment=home,
            release=world.releases[0],
            kind=Kind.ROLLBACK,
            status=Status.AWAITING_APPROVAL,
            requested_by="operator",
            reason="it hangs",
        )
        for name, home in homes.items()
    }
    request_deployment(
        actor=world.people["operator"], release=world.releases[1], environment=homes["test"], reason="again"
    )
    OrmQ.objects.all().delete()
    call_for_settling()
    status = {name: Deployment.objects.get(pk=row.pk).status for name, row in waiting.items()}
    assert status == {"test": Status.AWAITING_APPROVAL, "production": Status.QUEUED}
    assert [(row.key, tuple(row.task["args"])) for row in OrmQ.objects.all()] == [
        ("rescue", (waiting["production"].pk,))
    ]
