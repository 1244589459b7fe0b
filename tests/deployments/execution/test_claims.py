"""One worker has a deployment, by its token; who takes it over has a new fence, and the first one nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from deployments.environments.locks import lock_environment
from deployments.execution import claims
from deployments.execution.claims import (
    Claimed,
    claim,
    hand_over,
    raise_fence,
    still_held,
    take_over,
    take_up,
    worker_name,
)
from deployments.execution.recorder import LEASE
from deployments.lifecycle import Kind, Status
from deployments.models import (
    AuditEvent,
    Deployment,
    Environment,
    Move,
    NotificationChannel,
    NotificationDelivery,
    Operation,
    Server,
)
from deployments.people.accounts import change_person
from deployments.requests import seals
from deployments.requests.approvals import approve
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]


@pytest.fixture
def claimed(world: World) -> Claimed:
    """A deployment to test, in a worker's hands; another environment has fences of its own."""
    Environment.objects.filter(name="production").update(fence=70)
    found = claim(world.request(environment="test").pk)
    assert found is not None
    return found


def row(claimed: Claimed) -> Deployment:
    return Deployment.objects.get(pk=claimed.deployment.pk)


def test_who_wins_has_fence_lease_and_event_and_nobody_wins_twice(claimed: Claimed) -> None:
    now = row(claimed)
    assert (now.status, now.claim, now.worker) == (Status.RUNNING, claimed.token, worker_name())
    assert now.lease_until is not None
    assert now.started_at is not None
    assert now.lease_until - now.started_at == LEASE
    event = AuditEvent.objects.get(name="deployment.started")
    assert (event.environment, event.subject, event.actor) == ("test", f"deployment:{now.pk}", "system:worker")
    assert event.data == {"fence": now.fence, "worker": worker_name(), "seal": now.seal}
    assert now.fence == Environment.objects.get(name="test").fence
    assert Environment.objects.get(name="production").fence == 70
    assert claim(now.pk) is None
    assert claim(now.pk + 1) is None


def test_while_a_server_of_it_is_provisioned_it_waits_and_says_so_once(world: World) -> None:
    operation = Operation.objects.create(
        server=world.servers["test"],
        kind=Operation.Kind.PROVISION,
        state=Operation.State.RUNNING,
        requested_by="ann",
        heard_at=timezone.now(),
    )
    Server.objects.filter(environment=world.production).update(host_key="ssh-ed25519 AAAA")
    waiting = world.request(environment="test")
    for _ in range(2):
        assert claim(waiting.pk) is None
    (line,) = waiting.log_lines.all()
    assert line.text.startswith(f"It waits for the end of {operation}, which ann asked for.")
    Operation.objects.update(server=world.servers["production"])
    assert claim(waiting.pk) is not None, "another server's provisioning is none of its business"


@pytest.mark.parametrize("meanwhile", ["locked", "approver gone"])
def test_what_comes_while_the_seal_is_looked_at_still_counts(
    world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    waiting = world.request()
    approve(actor=world.people["approver"], deployment=waiting)
    looked_at = seals.broken_seal

    def then(deployment: Deployment) -> list[str]:
        found = looked_at(deployment)
        if meanwhile == "locked":
            lock_environment(actor=world.people["operator"], environment=world.production, reason="stop everything")
        else:
            person = world.user("approver")
            change_person(actor=world.people["administrator"], person=person, changes={"is_active": False}, roles=[])
        return found

    monkeypatch.setattr(claims, "broken_seal", then)
    assert claim(waiting.pk) is None
    waiting.refresh_from_db()
    assert waiting.status == Status.SUPERSEDED
    said = "was locked by operator: stop everything" if meanwhile == "locked" else "may not approve any more"
    assert said in waiting.sentence, waiting.sentence
    event = AuditEvent.objects.get(name="deployment.voided")
    assert (event.actor, event.environment, event.data["seal"]) == ("system:worker", "production", waiting.seal)
    assert said in event.data["changes"][0]
    assert not AuditEvent.objects.filter(name="deployment.started").exists()


def test_a_lease_that_has_not_run_out_is_nobody_elses(claimed: Claimed) -> None:
    before, slower = row(claimed), row(claimed)
    end = before.lease_until
    assert end is not None
    assert take_over(before) is None
    assert take_over(before, now=end - timedelta(microseconds=1)) is None
    assert take_over(before, now=end) is not None
    assert row(claimed).lease_until == end + LEASE
    assert take_over(slower, now=end + timedelta(days=1)) is None, "somebody was faster"


def test_who_takes_over_has_the_next_fence_and_the_first_has_nothing(claimed: Claimed) -> None:
    assert claimed.deployment.fence is not None
    assert still_held(claimed)
    raised = raise_fence(claimed)
    assert raised == claimed.deployment.fence == row(claimed).fence == Environment.objects.get(name="test").fence
    hand_over(claimed)
    second = take_over(row(claimed))
    assert second is not None
    assert second.deployment.fence == raised + 1
    assert still_held(second)
    assert not still_held(claimed)
    assert raise_fence(claimed) is None
    hand_over(claimed)
    now = row(claimed)
    assert (now.fence, now.claim) == (raised + 1, second.token)
    assert now.lease_until is not None
    assert now.lease_until > timezone.now()
    assert Environment.objects.get(name="test").fence == raised + 1, "what was not taken takes no number"


def test_an_interrupted_one_is_taken_up_once_and_a_running_one_is_not(claimed: Claimed) -> None:
    assert take_up(row(claimed)) is None
    Deployment.objects.filter(pk=claimed.deployment.pk).update(status=Status.INTERRUPTED, finished_at=timezone.now())
    seen, slower = row(claimed), row(claimed)
    assert take_over(seen, now=timezone.now() + timedelta(days=1)) is None, "it does not run"
    first = take_up(seen)
    assert first is not None
    assert take_up(slower) is None
    assert row(claimed).claim == first.token


def test_a_portal_that_has_moved_takes_nothing(world: World, claimed: Claimed) -> None:
    lost, waiting = row(claimed), world.request()
    approve(actor=world.people["approver"], deployment=waiting)
    hand_over(claimed)
    now = timezone.now()
    where = {"server": "ops-1", "url": "https://ops.example.org", "host_key": "x"}
    move = Move.objects.create(state="gone", started_by="tests", head="1:0", until=now, **where)
    before = list(Environment.objects.order_by("pk").values_list("fence", flat=True))
    later = now + timedelta(days=1)
    assert (claim(waiting.pk), take_over(lost, now=later)) == (None, None)
    Deployment.objects.filter(pk=lost.pk).update(status=Status.INTERRUPTED, finished_at=now)
    assert take_up(row(claimed)) is None
    assert list(Environment.objects.order_by("pk").values_list("fence", flat=True)) == before
    assert Deployment.objects.get(pk=waiting.pk).status == Status.QUEUED
    move.delete()
    assert claim(waiting.pk) is not None
    assert take_up(row(claimed)) is not None


def test_who_wants_to_hear_of_beginnings_hears_of_it_once(world: World) -> None:
    for name, events in (("beginnings", ["started"]), ("ends", ["succeeded", "failed"])):
        NotificationChannel.objects.create(name=name, url="json://127.0.0.1:9/x", events=events)
    asked = world.request(environment="test")
    OrmQ.objects.all().delete()
    for _ in range(2):
        claim(asked.pk)
    told = NotificationDelivery.objects.get()
    assert (told.channel.name, told.event, told.subject) == ("beginnings", "started", f"deployment:{asked.pk}")
    assert [each.task["func"] for each in OrmQ.objects.all()] == ["deployments.tasks.deliver_notifications"]


def test_nobody_is_told_of_what_nobody_wants_to_hear(claimed: Claimed) -> None:
    assert not NotificationDelivery.objects.exists()
    assert "deployments.tasks.deliver_notifications" not in [each.task["func"] for each in OrmQ.objects.all()]


def test_what_is_run_is_what_was_checked_whatever_is_written_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = world.request(environment="test")
    begun = claims._begun

    def forged(*arguments: Any) -> bool:
        Deployment.objects.filter(pk=asked.pk).update(
            snapshot={"application": "evil"}, seal="0" * 64, kind=Kind.ROLLBACK, release=world.releases[0]
        )
        return begun(*arguments)

    monkeypatch.setattr(claims, "_begun", forged)
    found = claim(asked.pk)
    assert found is not None
    mine = found.deployment
    assert (mine.snapshot, mine.seal, mine.kind) == (asked.snapshot, asked.seal, Kind.DEPLOYMENT)
    assert (mine.release, mine.status) == (world.releases[1], Status.RUNNING)


def test_without_a_database_the_lease_runs_out_by_itself(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(_: Claimed) -> None:
        raise OperationalError("nobody there")

    monkeypatch.setattr(claims, "_row", away)
    hand_over(claimed)
    assert f"deployment {claimed.deployment.pk}: its lease runs out by itself: nobody there" in caplog.text


def test_what_nobody_stands_behind_any_more_is_withdrawn_and_another_persons_is_not(world: World) -> None:
    gone, kept = world.request("operator", environment="test"), world.request("colleague")
    approve(actor=world.people["approver"], deployment=kept)
    world.user("operator").groups.clear()
    assert claim(gone.pk) is None
    gone.refresh_from_db()
    assert (gone.status, gone.outcome) == (Status.SUPERSEDED, "nobody_behind_it")
    event = AuditEvent.objects.get(name="deployment.withdrawn")
    assert (event.actor, event.data["requested_by"]) == ("system:worker", "operator")
    assert claim(kept.pk) is not None
