"""Maintenance: what it stops and what it does not, how it begins and ends, who may plan it and who hears of it."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from alerting import maintenance
from dashboard import tasks
from deployments.core.actors import system_actor
from deployments.drills.drills import hold_scheduled
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import ApiToken, AuditEvent, Deployment, Maintenance, NotificationDelivery
from deployments.notifications.channels import save_channel
from deployments.requests.approvals import approve
from deployments.requests.release_options import preview
from deployments.requests.rollbacks import request_rollback
from deployments.requests.seals import broken_seal
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.world import World
from tests.fixtures.records import hand_token

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
HOUR = timedelta(hours=1)


def plan(world: World, *, who: str = "operator", begins: timedelta = timedelta(), **more: Any) -> Maintenance:
    begin = timezone.now() + begins
    fields: dict[str, Any] = {"environment": world.production, "title": "new disks", "ends_at": begin + 2 * HOUR}
    return maintenance.plan(actor=world.people[who], starts_at=begin, **(fields | more))


def shift(row: Maintenance, by: timedelta) -> None:
    """As if that much time had gone by."""
    Maintenance.objects.filter(pk=row.pk).update(starts_at=row.starts_at - by, ends_at=row.ends_at - by)


def test_while_it_holds_nothing_is_deployed_there_and_elsewhere_it_is(world: World) -> None:
    waiting = world.request()
    row = plan(world)
    said = f"production is under maintenance until {row.ends_at:%Y-%m-%d %H:%M} UTC, planned by operator: new disks."
    for glass in (False, True):
        with pytest.raises(NotAllowed, match=re.escape(said)) as refused:
            world.request(break_glass=glass)
        assert refused.value.reason == "under_maintenance"
    with pytest.raises(NotAllowed, match=re.escape(said)):
        approve(actor=world.people["approver"], deployment=waiting)
    assert (
        preview(actor=world.people["operator"], environment=world.production, release=world.releases[1]).locked == said
    )
    assert world.request(environment="test").status == Status.QUEUED


def test_going_back_is_possible_all_the_same(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    plan(world)
    back = request_rollback(actor=world.people["operator"], environment=world.production, reason="broken")
    assert broken_seal(back) == []
    assert claim(back.pk) is not None


def test_the_clock_alone_begins_and_ends_it(world: World) -> None:
    row = plan(world, begins=HOUR)
    queued = world.request()
    approve(actor=world.people["approver"], deployment=queued, comment="")
    assert broken_seal(Deployment.objects.get(pk=queued.pk)) == [], "it has not begun"
    shift(row, HOUR)
    assert "is under maintenance" in broken_seal(Deployment.objects.get(pk=queued.pk))[0]
    shift(row, 3 * HOUR)
    assert claim(queued.pk) is not None, "and now it is over, whoever has written that down"


def test_no_drill_is_held_there(world: World) -> None:
    world.succeeded(world.releases[0], "test")
    world.succeeded(world.releases[1], "test")
    plan(world, environment=world.test)
    assert hold_scheduled(actor=system_actor("schedule")) is None


def test_its_beginning_and_end_are_recorded_and_announced_once(world: World) -> None:
    values = {"name": "all", "url": "json://localhost/x", "environment": None, "events": ["maintenance"]}
    save_channel(actor=world.people["administrator"], channel=None, values=values | {"enabled": True})
    row = plan(world, begins=HOUR)
    tasks.tend_alerts()
    shift(row, HOUR)
    tasks.tend_alerts()
    tasks.tend_alerts()
    shift(row, 3 * HOUR)
    tasks.tend_alerts()
    tasks.tend_alerts()
    events = AuditEvent.objects.filter(subject=f"maintenance:{row.pk}").order_by("sequence")
    assert [(event.name, event.actor) for event in events] == [
        ("maintenance.planned", "operator"),
        ("maintenance.began", "system:schedule"),
        ("maintenance.ended", "system:schedule"),
    ]
    titles = list(NotificationDelivery.objects.order_by("id").values_list("title", flat=True))
    assert titles == [
        "production: maintenance planned by operator",
        "production: maintenance began",
        "production: maintenance ended",
    ]


def test_it_is_ended_early_or_called_off_with_a_reason(world: World) -> None:
    actor = world.people["operator"]
    ahead, now = plan(world, begins=3 * HOUR), plan(world)
    with pytest.raises(InvalidRequest, match="needs a reason"):
        maintenance.end(actor=actor, window=now, reason=" ")
    assert maintenance.end(actor=actor, window=now, reason="quick").word(timezone.now()) == "over"
    assert maintenance.end(actor=actor, window=ahead, reason="not today").word(timezone.now()) == "called off"
    assert world.request().status == Status.AWAITING_APPROVAL
    with pytest.raises(Conflict, match="is over"):
        maintenance.end(actor=actor, window=now, reason="again")
    names = set(AuditEvent.objects.filter(name__startswith="maintenance.").values_list("name", flat=True))
    assert names == {"maintenance.planned", "maintenance.began", "maintenance.ended", "maintenance.called_off"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"title": " "}, "needs a title"),
        ({"ends_at": None}, "lasts from 1 minute to 30 days"),
        ({"ends_at": timezone.now() - HOUR}, "lasts from 1 minute to 30 days"),
        ({"ends_at": timezone.now() + timedelta(days=31)}, "lasts from 1 minute to 30 days"),
    ],
)
def test_what_cannot_be_planned_is_refused(world: World, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        plan(world, **changes)
    assert not Maintenance.objects.exists()


def test_two_windows_of_one_environment_never_overlap(world: World) -> None:
    plan(world, begins=HOUR)
    with pytest.raises(Conflict, match="planned then already: new disks"):
        plan(world, begins=2 * HOUR)
    plan(world, begins=3 * HOUR)
    plan(world, environment=world.test)


@pytest.mark.parametrize(("who", "allowed"), [("viewer", False), ("approver", False), ("operator", True)])
def test_those_who_may_lock_may_plan_it(world: World, who: str, allowed: bool) -> None:
    client = world.client(who)
    sent = {"environment": "production", "title": "new disks", "until": "2h", "public": "1"}
    answer = client.post(reverse("maintenance"), sent)
    assert answer.status_code == (302 if allowed else 403)
    assert Maintenance.objects.exists() is allowed
    code, _ = world.command(who, "maintenance", "plan", "test", "--title", "disks", "--until", "30m")
    assert (code == 0) is allowed
    ends = (timezone.now() + 4 * HOUR).isoformat()
    begins = (timezone.now() + 3 * HOUR).isoformat()
    body = {"environment": "production", "title": "disks", "starts_at": begins, "ends_at": ends}
    assert world.api(who, "post", "/maintenance", body).status_code == (201 if allowed else 403)
    for row in Maintenance.objects.all():
        assert client.post(reverse("maintenance-end", args=[row.pk]), {"reason": "x"}).status_code == 302
    states = {row["state"] for row in world.api(who, "get", "/maintenance").json()["items"]}
    assert states == ({"over", "called off"} if allowed else set())


def test_a_page_that_refuses_keeps_what_was_typed(world: World) -> None:
    sent = {"environment": "production", "title": "new disks", "starts": "tomorrow", "until": "2h"}
    answer = world.client("operator").post(reverse("maintenance"), sent)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "is no moment" in page
    assert 'value="new disks"' in page
    assert 'value="tomorrow"' in page


def test_it_is_shown_where_a_lock_is_and_to_everybody_if_public(world: World) -> None:
    row = plan(world, public=True)
    plan(world, title="only ours", environment=world.test)
    client = world.client("operator")
    until = f"{row.ends_at:%-d %b %Y} {row.ends_at:%H:%M}"
    assert f"until {until} UTC: new disks" in client.get(reverse("admin:index")).content.decode()
    lists = client.get(reverse("admin:deployments_environment_changelist")).content.decode()
    assert lists.partition('id="result_list"')[2].count(">Maintenance<") == 2
    listed = {each["name"]: each for each in world.api("operator", "get", "/environments").json()}
    assert listed["production"]["maintenance_until"] is not None
    page = Client().get("/").content.decode()
    assert "new disks" in page
    assert "only ours" not in page
    assert "operator" not in page
    assert [each["title"] for each in json.loads(Client().get("/status.json").content)["maintenance"]] == ["new disks"]
    assert "only ours" in client.get("/").content.decode()
    shift(row, 3 * HOUR)
    assert world.production.pk not in Maintenance.objects.under_way(timezone.now()).values_list(
        "environment", flat=True
    )
    assert json.loads(Client().get("/status.json").content)["maintenance"] == []


def test_a_token_for_one_environment_sees_and_plans_its_own(world: World) -> None:
    plan(world)
    token = hand_token(world.user("operator"), "of test")
    ApiToken.objects.filter(name="of test").update(environment=world.test)
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/maintenance", headers=headers).json()["items"] == []
    row = Maintenance.objects.get()
    sent: dict[str, Any] = {"data": json.dumps({"reason": "x"}), "content_type": "application/json"}
    assert Client().post(f"/api/v1/maintenance/{row.pk}/end", headers=headers, **sent).status_code == 404
