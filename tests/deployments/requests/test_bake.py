"""While a deployment bakes, bad news take it back or pause the environment, once; afterwards people are told."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, NotificationChannel, NotificationDelivery
from deployments.requests.bake import baking_deployment, report_alert, report_crash
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
HOUR = timedelta(hours=1)


@pytest.fixture
def baking(world: World) -> Deployment:
    """Production bakes the second release, and so does test, of whose trouble nobody hears."""
    NotificationChannel.objects.create(name="all", url="json://127.0.0.1:9/x", enabled=True)
    now = timezone.now()
    for environment in ("test", "production"):
        world.succeeded(world.releases[0], environment)
        row = world.succeeded(world.releases[1], environment)
        Deployment.objects.filter(pk=row.pk).update(
            started_at=now - HOUR, finished_at=now - HOUR / 2, bake_until=now + HOUR
        )
        Deployment.objects.filter(release=world.releases[0]).update(
            started_at=now - 3 * HOUR, finished_at=now - 2 * HOUR
        )
    return Deployment.objects.get(pk=row.pk)


def alert(row: Deployment, severity: str = "critical", after: timedelta = HOUR / 2) -> Deployment | None:
    """One that began so long after the deployment had."""
    assert row.started_at is not None
    return report_alert(
        actor=system_actor("alertmanager"),
        environment=row.environment,
        name="BotDown",
        severity=severity,
        began_at=row.started_at + after,
        summary="it is down",
    )


def crash(row: Deployment) -> Deployment | None:
    return report_crash(
        actor=system_actor("watch"), deployment=row, server="production-1", sentence="dice.service crashed."
    )


def told() -> list[tuple[str, str]]:
    return list(NotificationDelivery.objects.order_by("id").values_list("event", "title"))


def test_a_critical_alert_takes_it_back_once_and_says_why(world: World, baking: Deployment) -> None:
    back = alert(baking)
    assert back is not None
    assert (back.kind, back.status, back.release, back.rollback_of) == (
        Kind.ROLLBACK,
        Status.QUEUED,
        world.releases[0],
        baking,
    )
    assert back.reason == f"BotDown began to fire while deployment {baking.pk} was baking: it is down"
    assert back.requested_by == "system:alertmanager"
    assert [row.key for row in OrmQ.objects.all() if back.pk in row.task["args"]] == ["rescue"], "behind no deployment"
    assert alert(baking) is None
    assert Deployment.objects.filter(kind=Kind.ROLLBACK).count() == 1
    assert baking_deployment(world.test) is not None, "the other one bakes on"
    assert not Environment.objects.exclude(locked_at=None).exists()


@pytest.mark.parametrize(
    ("severity", "after"), [("warning", HOUR / 2), ("critical", -timedelta(seconds=1))], ids=["warning", "before"]
)
def test_what_is_not_critical_or_fired_before_is_not_its_doing(
    baking: Deployment, severity: str, after: timedelta
) -> None:
    assert alert(baking, severity, after) is None
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
    assert baking_deployment(baking.environment) == baking


@pytest.mark.parametrize("other", ["over", "replaced", "a rollback", "something runs"])
def test_what_does_not_bake_is_not_taken_back(world: World, baking: Deployment, other: str) -> None:
    if other == "over":
        Deployment.objects.filter(pk=baking.pk).update(bake_until=timezone.now() - timedelta(seconds=1))
    if other == "replaced":
        world.succeeded(world.releases[0])
    if other == "a rollback":
        Deployment.objects.filter(pk=baking.pk).update(kind=Kind.ROLLBACK)
    if other == "something runs":
        row = world.request()
        Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING)
    before = Deployment.objects.count()
    assert baking_deployment(baking.environment) is None
    assert alert(baking) is None
    assert Deployment.objects.count() == before


def test_where_the_policy_says_so_the_environment_is_paused(world: World, baking: Deployment) -> None:
    baking.snapshot["policy"]["bake_action"] = "pause"
    baking.save()
    assert alert(baking) is None
    home = Environment.objects.get(pk=baking.environment_id)
    reason = f"BotDown began to fire while deployment {baking.pk} was baking: it is down"
    assert (home.locked_by, home.lock_reason, home.lock_until) == ("system:alertmanager", reason, None)
    event = AuditEvent.objects.get(name="environment.locked")
    assert (event.actor, event.subject, event.environment) == (
        "system:alertmanager",
        "environment:production",
        "production",
    )
    assert event.data == {"reason": reason, "deployment": baking.pk}
    assert told() == [("locked", "production: locked while a deployment was baking")]
    assert not Environment.objects.get(name="test").locked


@pytest.mark.parametrize("until", [None, HOUR])
def test_a_lock_that_ends_by_itself_gives_way_and_another_stays(
    world: World, baking: Deployment, until: timedelta | None
) -> None:
    now = timezone.now()
    Environment.objects.filter(name="production").update(
        locked_at=now, locked_by="olga", lock_reason="exams", lock_until=now + until if until else None
    )
    baking.snapshot["policy"]["bake_action"] = "pause"
    baking.save()
    alert(baking)
    home = Environment.objects.get(name="production")
    assert (home.locked_by, home.lock_until) == (("olga", None) if until is None else ("system:alertmanager", None))
    assert AuditEvent.objects.filter(name="environment.locked").exists() is (until is not None)


def test_without_a_way_back_it_is_paused_and_says_so(world: World, baking: Deployment) -> None:
    Deployment.objects.filter(environment=world.production, release=world.releases[0]).update(status=Status.FAILED)
    assert alert(baking) is None
    home = Environment.objects.get(name="production")
    assert home.lock_reason.startswith("BotDown began to fire while")
    assert "It could not be rolled back: " in home.lock_reason


def test_a_crash_while_it_bakes_takes_it_back(baking: Deployment) -> None:
    back = crash(baking)
    assert back is not None
    assert back.reason == f"production-1: dice.service crashed. Deployment {baking.pk} was baking."
    assert not AuditEvent.objects.filter(name="deployment.crashed").exists()


def test_a_crash_afterwards_is_told_and_nothing_is_done(world: World, baking: Deployment) -> None:
    Deployment.objects.filter(pk=baking.pk).update(bake_until=None)
    assert crash(baking) is None
    event = AuditEvent.objects.get(name="deployment.crashed")
    assert (event.actor, event.subject, event.environment) == (
        "system:watch",
        f"deployment:{baking.pk}",
        "production",
    )
    assert event.data == {"server": "production-1", "sentence": "dice.service crashed."}
    what = f"{baking.release} crashed on production-1 after deployment {baking.pk} had succeeded"
    assert told() == [("failed", f"production: {what}")]
    assert "Nothing was done about it: deploy or roll back." in NotificationDelivery.objects.get().body
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
