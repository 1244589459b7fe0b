"""What the records say once a deployment has ended: of itself, of its servers, and to whom."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core.actors import system_actor
from deployments.execution import finish as module
from deployments.execution import silences
from deployments.execution.claims import Claimed, claim
from deployments.execution.finish import end_target, finish, service_of
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import (
    AuditEvent,
    Deployment,
    Environment,
    NotificationChannel,
    NotificationDelivery,
    Server,
    Target,
)
from deployments.requests.approvals import approve
from engine.artifacts.deploy_toml import Health
from tests.deployments.world import World
from tests.fixtures.records import EXAMPLE

ASKED = Health(url="http://127.0.0.1:8000/")
CONNECTED = Health(url="http://127.0.0.1:8000/", connected="connected")
BAKES = 700


@pytest.mark.parametrize(
    ("health", "identity", "service"),
    [
        (None, None, Server.Service.UNASKED),
        (ASKED, None, Server.Service.ASKED),
        (CONNECTED, None, Server.Service.BOT),
        (None, ["cytu.be", "rosey"], Server.Service.BOT),
        (ASKED, ["cytu.be", "rosey"], Server.Service.BOT),
        (ASKED, [], Server.Service.BOT),
    ],
)
def test_a_bot_signs_in_somewhere_or_says_whether_it_is_connected(
    health: Health | None, identity: list[str] | None, service: Server.Service
) -> None:
    assert service_of(health, identity) == service


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000/status/now", {"port": 8000, "path": "/status/now"}),
        ("http://127.0.0.1:8000", {"port": 8000, "path": "/"}),
    ],
)
def test_where_a_service_is_asked_is_kept_as_port_and_path(url: str, address: dict[str, object]) -> None:
    assert module._address(Health(url=url)) == address
    assert module._address(None) is None


@pytest.fixture
def claimed(world: World) -> Claimed:
    """A deployment to test that a worker has; its second server failed. Another one runs in production."""
    Environment.objects.filter(name="test").update(bake_seconds=BAKES)
    beside = world.request()
    approve(actor=world.people["approver"], deployment=beside)
    assert claim(beside.pk) is not None
    found = claim(world.request(environment="test").pk)
    assert found is not None
    found.deployment.targets.update(status=TargetStatus.SUCCEEDED)
    second = Server.objects.create(
        name="test-2", environment=world.test, host="192.0.2.1", roles=["none of these"], facts={"cores": 4}
    )
    found.deployment.targets.create(server=second, order=9, status=TargetStatus.FAILED)
    OrmQ.objects.all().delete()
    return found


def end(claimed: Claimed, status: Status = Status.SUCCEEDED, **more: Any) -> bool:
    fields = {"outcome": "verified", "sentence": "It runs.", "claim": claimed.token, **more}
    return finish(actor=system_actor("worker"), deployment=claimed.deployment, status=status, **fields)


def row(claimed: Claimed) -> Deployment:
    return Deployment.objects.get(pk=claimed.deployment.pk)


def queued() -> list[tuple[str, str, tuple[object, ...]]]:
    """Cluster, task and arguments of what waits."""
    tasks = [(each.key, each.task) for each in OrmQ.objects.order_by("id")]
    return [(key, task["func"].removeprefix("deployments.tasks."), tuple(task["args"])) for key, task in tasks]


def test_the_end_is_written_once_by_who_holds_it_and_is_on_record(world: World, claimed: Claimed) -> None:
    long = "word_" * 20
    assert not end(claimed, Status.FAILED, claim=uuid4())
    assert (row(claimed).status, row(claimed).sentence) == (Status.RUNNING, "")
    assert end(claimed, Status.FAILED, outcome=long, sentence="It failed.")
    now = row(claimed)
    assert (now.status, now.outcome, now.sentence, now.lease_until) == (Status.FAILED, long[:60], "It failed.", None)
    assert now.finished_at is not None
    assert (now.verified_at, now.bake_until) == (None, None)
    assert not end(claimed, Status.FAILED), "it has ended"
    event = AuditEvent.objects.get(name="deployment.failed")
    assert (event.actor, event.subject, event.environment) == ("system:worker", f"deployment:{now.pk}", "test")
    assert event.data == {
        "release": world.releases[1].identifier,
        "seconds": now.seconds,
        "targets": {"test-1": "succeeded", "test-2": "failed"},
        "outcome": long,
        "sentence": "It failed.",
        "late": False,
    }
    assert Deployment.objects.get(environment=world.production).status == Status.RUNNING
    assert set(Server.objects.values_list("current_release", flat=True)) == {None}, "of servers it says nothing"
    assert queued() == []


def test_a_success_says_what_runs_on_the_servers_that_took_it(world: World, claimed: Claimed) -> None:
    asked_nothing = {"facts": {"cores": 2}, "service": Server.Service.UNASKED, "stopped": {"by": "olga"}}
    Server.objects.filter(name="test-1").update(current_release=world.releases[0], **asked_nothing)
    assert end(claimed)
    now, one = row(claimed), Server.objects.get(name="test-1")
    assert now.verified_at is not None
    assert now.bake_until is not None
    assert now.bake_until - now.verified_at == timedelta(seconds=BAKES)
    assert (one.current_release, one.previous_release) == (world.releases[1], world.releases[0])
    digest = now.sealed.configuration.digest
    assert (one.config_digest, one.service, one.stopped) == (digest, Server.Service.BOT, None)
    unit = hashlib.sha256((EXAMPLE / "systemd" / "dice-bot.service").read_bytes()).hexdigest()
    assert one.unit_files == {"dice-bot.service": unit}
    assert one.facts == {"cores": 2, "identity": ["dice-test"], "health": {"port": 8101, "path": "/status"}}
    for other in Server.objects.exclude(name="test-1"):
        assert (other.current_release, other.unit_files, other.config_digest) == (None, {}, "")
    assert Server.objects.get(name="test-2").facts == {"cores": 4}
    assert world.test.application == "dice-bot"
    assert queued() == [("default", "inspect_environment", (world.test.pk,))]


def test_the_same_release_again_has_no_other_one_before_it(world: World, claimed: Claimed) -> None:
    Server.objects.filter(name="test-1").update(
        current_release=world.releases[1], previous_release=world.releases[0], unit_files={"old.service": "x"}
    )
    Path(world.releases[1].artifact.path).unlink()
    assert end(claimed)
    one = Server.objects.get(name="test-1")
    assert (one.current_release, one.previous_release) == (world.releases[1], world.releases[0])
    assert one.unit_files == {"old.service": "x"}, "it runs, and what is known of its units stays"


def test_a_server_of_another_role_signs_in_nowhere(claimed: Claimed) -> None:
    Server.objects.filter(name="test-1").update(roles=["web"], service=Server.Service.ASKED)
    assert end(claimed)
    one = Server.objects.get(name="test-1")
    assert (one.facts, one.unit_files, one.service) == ({}, {}, Server.Service.ASKED)


def test_units_are_watched_on_for_as_long_as_the_last_of_them_wants(claimed: Claimed) -> None:
    for server, left in (("test-1", 40.0), ("test-2", 90.0)):
        rows = Target.objects.filter(deployment=claimed.deployment, server__name=server)
        rows.update(facts={"proof": {"baseline": {"left": left}}})
    before = timezone.now()
    assert end(claimed)
    task = OrmQ.objects.get(lock__gt=before + timedelta(seconds=30))
    assert (task.task["func"], tuple(task.task["args"])) == ("deployments.tasks.watch", (claimed.deployment.pk,))
    assert task.lock is not None
    assert timedelta(seconds=91) <= task.lock - before < timedelta(seconds=91) + (timezone.now() - before)


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (Status.SUCCEEDED, "succeeded"),
        (Status.FAILED, "failed"),
        (Status.ROLLED_BACK, "rolled_back"),
        (Status.INTERRUPTED, "interrupted"),
        (Status.CANCELLED, "cancelled"),
    ],
)
def test_who_wants_to_hear_of_such_an_end_hears_of_it(
    world: World, claimed: Claimed, status: Status, event: str
) -> None:
    for name, environment, events in (
        ("this one", world.test, [event]),
        ("beginnings", world.test, ["started"]),
        ("elsewhere", world.production, [event]),
    ):
        NotificationChannel.objects.create(
            name=name, url="json://127.0.0.1:9/x", environment=environment, events=events
        )
    assert end(claimed, status, sentence="That is how it ended.")
    told = NotificationDelivery.objects.get()
    assert (told.channel.name, told.event, told.subject) == ("this one", event, f"deployment:{claimed.deployment.pk}")
    assert "That is how it ended." in told.body
    assert ("default", "deliver_notifications", ()) in queued()
    assert AuditEvent.objects.filter(name=f"deployment.{event}", environment="test").count() == 1


def test_its_silence_is_lifted_when_the_end_is_stored(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    lifted: list[int] = []
    monkeypatch.setattr(silences, "end", lambda deployment: lifted.append(deployment.pk))
    with django_capture_on_commit_callbacks(execute=True):
        assert not end(claimed, claim=uuid4())
    assert lifted == []
    with django_capture_on_commit_callbacks(execute=True):
        assert end(claimed)
        assert lifted == []
    assert lifted == [claimed.deployment.pk]


def test_what_is_told_late_completes_the_record_and_moves_no_moment(claimed: Claimed) -> None:
    assert not end(claimed, Status.FAILED, late=True), "it was not interrupted"
    assert end(claimed, Status.INTERRUPTED, outcome="host_unreachable")
    ended = row(claimed).finished_at
    assert not end(claimed, Status.FAILED), "only who completes it may"
    assert end(claimed, Status.FAILED, outcome="no_sudo", sentence="It said no.", late=True)
    now = row(claimed)
    assert (now.status, now.outcome, now.sentence, now.finished_at) == (Status.FAILED, "no_sudo", "It said no.", ended)
    assert AuditEvent.objects.get(name="deployment.failed").data["late"] is True


def test_what_became_of_a_server_is_written_by_who_holds_the_deployment(claimed: Claimed) -> None:
    target, other = claimed.deployment.targets.order_by("order")
    end_target(target, TargetStatus.REVERTED, claim=uuid4(), outcome="x", sentence="x", facts={"x": 1})
    target.refresh_from_db()
    assert (target.status, target.facts, target.finished_at) == (TargetStatus.SUCCEEDED, {}, None)
    long = "word_" * 20
    end_target(
        target, TargetStatus.REVERTED, claim=claimed.token, outcome=long, sentence="It went back.", facts={"a": 1}
    )
    target.refresh_from_db()
    assert (target.status, target.outcome, target.sentence) == (TargetStatus.REVERTED, long[:60], "It went back.")
    assert target.facts == {"a": 1}
    assert target.finished_at is not None
    end_target(target, TargetStatus.FAILED, claim=claimed.token)
    target.refresh_from_db()
    assert (target.outcome, target.sentence, target.facts) == ("", "", {})
    other.refresh_from_db()
    assert (other.status, other.finished_at) == (TargetStatus.FAILED, None)


def test_the_rollback_that_waited_for_it_begins(world: World, claimed: Claimed) -> None:
    for release in world.releases:
        world.succeeded(release, "test")
    waiting = {
        home.name: Deployment.objects.create(
            environment=home, release=world.releases[0], kind=Kind.ROLLBACK, status=Status.AWAITING_APPROVAL
        )
        for home in (world.test, world.production)
    }
    assert end(claimed, Status.CANCELLED)
    status = {name: Deployment.objects.get(pk=each.pk).status for name, each in waiting.items()}
    assert status == {"test": Status.QUEUED, "production": Status.AWAITING_APPROVAL}
    assert AuditEvent.objects.get(name="rollback.queued").data["after"] == claimed.deployment.pk
