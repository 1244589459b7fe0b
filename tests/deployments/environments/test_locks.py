"""Locks with an end: how long they hold, who hears of it, and what does not outlive them."""

import json
import re
from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from deployments import tasks
from deployments.environments.locks import lock_environment, unlock_environment
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Deployment, Environment, NotificationDelivery
from deployments.notifications.channels import save_channel
from deployments.requests.approvals import approve
from deployments.requests.rollbacks import request_rollback
from deployments.requests.seals import broken_seal
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


def lock(world: World, until: datetime | None) -> Environment:
    return lock_environment(actor=world.people["operator"], environment=world.production, reason="exams", until=until)


def in_two_hours() -> datetime:
    return timezone.now() + timedelta(hours=2)


def pass_its_end() -> None:
    """As if two hours had gone by."""
    Environment.objects.filter(locked_at__isnull=False).update(lock_until=timezone.now() - timedelta(seconds=1))


def test_it_holds_until_its_end_and_says_so(world: World) -> None:
    until = in_two_hours()
    lock(world, until)
    with pytest.raises(NotAllowed, match=re.escape(f"exams. The lock ends at {until:%Y-%m-%d %H:%M} UTC.")):
        world.request()
    pass_its_end()
    assert world.request().status == Status.AWAITING_APPROVAL


def test_a_locked_environment_lets_back_and_only_back(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    lock(world, in_two_hours())
    assert request_rollback(actor=world.people["operator"], environment=world.production, reason="broken").status == (
        Status.QUEUED
    )


def test_what_was_queued_begins_only_once_the_lock_has_ended(world: World) -> None:
    row = world.request()
    approve(actor=world.people["approver"], deployment=row, comment="")
    lock(world, in_two_hours())
    assert "was locked by operator" in broken_seal(Deployment.objects.get(pk=row.pk))[0]
    pass_its_end()
    assert claim(row.pk) is not None, "the claim itself finds that the lock is over"
    assert world.production.locked_at is not None, "although nobody has written that down yet"


def test_its_end_is_recorded_and_announced_once(world: World) -> None:
    values = {"name": "all", "url": "json://localhost/x", "environment": None, "events": ["locked"], "enabled": True}
    save_channel(actor=world.people["administrator"], channel=None, values=values)
    until = in_two_hours()
    lock(world, until)
    tasks.expire_requests()
    assert world.production.locked
    pass_its_end()
    for _ in range(2):
        tasks.expire_requests()
    assert (world.production.locked_at, world.production.lock_reason, world.production.lock_until) == (None, "", None)
    ended = AuditEvent.objects.get(name="environment.lock_ended")
    assert ended.actor == "system:schedule"
    assert ended.data["was_locked"]["by"] == "operator"
    assert ended.data["was_locked"]["because"] == "exams"
    told = [(sent.title, sent.body.partition("\n")[0]) for sent in NotificationDelivery.objects.order_by("id")]
    assert told == [
        ("production: locked by operator", "exams"),
        ("production: its lock has ended by itself", "operator: exams"),
    ]
    first = NotificationDelivery.objects.order_by("id")[0]
    assert f"It ends by itself at {until:%Y-%m-%d %H:%M} UTC." in first.body


def test_it_is_locked_anew_before_anybody_wrote_the_end_down(world: World) -> None:
    lock(world, in_two_hours())
    with pytest.raises(Conflict, match="The lock ends at"):
        lock(world, None)
    pass_its_end()
    with pytest.raises(Conflict, match="not locked"):
        unlock_environment(actor=world.people["operator"], environment=world.production, reason="done")
    assert lock(world, None).lock_until is None
    events = AuditEvent.objects.filter(name__startswith="environment.lock").order_by("sequence")
    names = list(events.values_list("name", flat=True))
    assert names == ["environment.locked", "environment.lock_ended", "environment.locked"]


def test_an_end_that_has_passed_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="before it begins"):
        lock(world, timezone.now())
    assert not world.production.locked


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_an_end_that_no_calendar_has_is_refused(until: str, world: World) -> None:
    address = reverse("admin:deployments_environment_lock", args=[world.production.pk])
    refused = world.client("operator").post(address, {"reason": "exams", "until": until})
    assert refused.status_code == 422
    body = {"environment": "production", "reason": "exams", "until": until}
    assert world.api("operator", "post", "/environments/lock", body).status_code == 422
    assert not world.production.locked


def test_an_end_of_another_time_zone_is_told_in_utc(world: World) -> None:
    values = {"name": "all", "url": "json://localhost/x", "environment": None, "events": ["locked"], "enabled": True}
    save_channel(actor=world.people["administrator"], channel=None, values=values)
    body = {"environment": "production", "reason": "exams", "until": "2036-12-01T09:30:00+02:00"}
    assert world.api("operator", "post", "/environments/lock", body).status_code == 200
    assert "It ends by itself at 2036-12-01 07:30 UTC." in NotificationDelivery.objects.get().body
    unlock_environment(actor=world.people["operator"], environment=world.production, reason="over")
    address = reverse("admin:deployments_environment_lock", args=[world.production.pk])
    page = world.client("operator").post(address, {"reason": "exams", "until": "2036-12-01T09:30+02:00"}, follow=True)
    assert "is locked until 1 Dec 2036 07:30 UTC" in page.content.decode()


def test_unlocking_takes_the_end_along(world: World) -> None:
    lock(world, in_two_hours())
    unlock_environment(actor=world.people["operator"], environment=world.production, reason="done early")
    assert lock(world, None).lock_until is None


def test_the_page_takes_a_length_or_a_time_and_keeps_what_was_typed(world: World) -> None:
    client = world.client("operator")
    address = reverse("admin:deployments_environment_lock", args=[world.production.pk])
    refused = client.post(address, {"reason": "exams", "until": "next week"})
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "is no moment" in page
    assert 'value="next week"' in page
    assert not world.production.locked
    client.post(address, {"reason": "exams", "until": "2h"})
    until = world.production.lock_until
    assert until is not None
    assert timedelta(minutes=119) < until - timezone.now() <= timedelta(hours=2)
    shown = f"{until:%-d %b %Y %H:%M} UTC"
    for name, arguments in (("index", []), ("deployments_environment_change", [world.production.pk])):
        assert f"until {shown}" in client.get(reverse(f"admin:{name}", args=arguments)).content.decode(), name


def test_the_api_locks_until_a_time(world: World) -> None:
    until = in_two_hours()
    body = {"environment": "production", "reason": "exams", "until": until.isoformat()}
    found = world.api("operator", "post", "/environments/lock", body)
    assert found.status_code == 200
    assert found.json()["locked"] is True
    assert datetime.fromisoformat(found.json()["locked_until"]) == until.replace(
        microsecond=until.microsecond // 1000 * 1000
    )
    assert world.api("operator", "post", "/environments/lock", body).status_code == 409
    naive = {**body, "until": "2036-12-01T09:30"}
    assert world.api("operator", "post", "/environments/lock", naive).status_code == 422
    pass_its_end()
    listed = {row["name"]: row for row in world.api("operator", "get", "/environments").json()}
    assert (listed["production"]["locked"], listed["production"]["lock_reason"]) == (False, "")
    assert listed["production"]["locked_until"] is None


def test_the_command_locks_until_a_time_or_for_a_while(world: World) -> None:
    code, said = world.command("operator", "lock", "production", "--reason", "exams", "--for", "3d")
    assert code == 0
    assert json.loads(said)["locked"] is True
    assert world.command("operator", "unlock", "production", "--reason", "over")[0] == 0
    later = f"{timezone.now() + timedelta(days=9):%Y-%m-%dT%H:%M}"
    world.command("operator", "lock", "production", "--reason", "exams", "--until", later)
    assert f"{world.production.lock_until:%Y-%m-%dT%H:%M}" == later
    listed = json.loads(world.command("operator", "environments", "list")[1])["environments"]
    assert [row["locked"] for row in listed] == [False, True]
    code, said = world.command("operator", "lock", "test", "--reason", "exams", "--until", "2020-01-01")
    assert (code, json.loads(said)["sentence"]) == (2, "The lock would end before it begins.")
