"""Deciding: four eyes, several approvers, expiry, supersession, busy and locked environments."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deployments.access.policy import token_actor
from deployments.access.tokens import issue_token
from deployments.core import queueing
from deployments.core.actors import Actor, shell_actor, system_actor
from deployments.environments.locks import lock_environment
from deployments.lifecycle import Status
from deployments.models import Approval, AuditEvent, Deployment, Environment, NotificationDelivery, Scope
from deployments.notifications.channels import save_channel
from deployments.releases.artifacts import ArtifactElsewhere
from deployments.requests.approvals import approve, expire_requests, reject, review_break_glass
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.errors import Conflict, EnvironmentBusy, InvalidRequest, NotAllowed, NotApproved
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")


def test_an_approval_queues_the_deployment_in_the_same_transaction(world: World) -> None:
    row = world.request()
    approve(actor=world.people["approver"], deployment=row, comment="fine")
    assert row.status == Status.QUEUED
    assert queueing.waits(queueing.EXECUTE, row.pk)
    event = AuditEvent.objects.get(name="deployment.approved")
    assert event.actor == "approver"
    assert event.data == {"seal": row.seal, "comment": "fine", "approvals": "1 of 1"}


def test_a_superuser_cannot_approve_their_own_request(world: World) -> None:
    row = world.request("superuser")
    with pytest.raises(NotAllowed) as refused:
        approve(actor=world.people["superuser"], deployment=row)
    assert refused.value.reason == "four_eyes"
    with pytest.raises(NotAllowed):
        reject(actor=world.people["superuser"], deployment=row, comment="no")
    assert row.status == Status.AWAITING_APPROVAL


def test_a_token_answers_for_its_owner(world: World) -> None:
    token, _ = issue_token(
        actor=world.people["requester"], name="ci", scopes=[Scope.APPROVE, Scope.DEPLOY], owner=world.user("requester")
    )
    by_token = token_actor(token)
    row = request_deployment(actor=by_token, release=world.releases[1], environment=world.production)
    assert row.requested_by == "requester/token:ci"
    with pytest.raises(NotAllowed, match="cannot be the one who decides"):
        approve(actor=world.people["requester"], deployment=row)
    own = world.request("requester")
    with pytest.raises(NotAllowed, match="cannot be the one who decides"):
        approve(actor=by_token, deployment=own)


def test_long_names_do_not_blur_who_it_was(world: World) -> None:
    name = "a" * 150
    actor = Actor("token", "ci" * 40, frozenset(), frozenset(Scope), person=name)
    assert str(actor) == name
    assert actor.identity == name


def test_neither_the_shell_nor_the_system_approves(world: World) -> None:
    row = world.request()
    for actor in (shell_actor("root"), system_actor("schedule")):
        with pytest.raises(NotAllowed):
            approve(actor=actor, deployment=row)


def test_several_approvals_are_counted_one_per_person(world: World, make_person: object) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    assert row.status == Status.AWAITING_APPROVAL
    with pytest.raises(Conflict) as again:
        approve(actor=world.people["approver"], deployment=row)
    assert again.value.reason == "approved_already"
    approve(actor=world.people["superuser"], deployment=row)
    assert row.status == Status.QUEUED
    assert [event.data["approvals"] for event in AuditEvent.objects.filter(name="deployment.approved")] == [
        "2 of 2",
        "1 of 2",
    ]


def test_who_approved_may_still_reject(world: World) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    reject(actor=world.people["approver"], deployment=row, comment="I missed something")
    assert row.status == Status.REJECTED
    assert row.sentence == "approver rejected it: I missed something"
    assert Approval.objects.get().decision == "rejected"


def test_a_rejection_needs_a_reason(world: World) -> None:
    with pytest.raises(InvalidRequest):
        reject(actor=world.people["approver"], deployment=world.request(), comment="  ")


def test_a_decided_request_cannot_be_decided_again(world: World) -> None:
    row = world.request()
    reject(actor=world.people["approver"], deployment=row, comment="no")
    for decide in (approve, lambda **more: reject(comment="no", **more)):
        with pytest.raises(NotApproved) as refused:
            decide(actor=world.people["superuser"], deployment=row)
        assert refused.value.reason == "not_waiting"


def test_a_busy_environment_keeps_the_request_waiting_and_records_nothing(world: World) -> None:
    glass = world.request(break_glass=True)
    row = world.request()
    with pytest.raises(EnvironmentBusy) as busy:
        approve(actor=world.people["approver"], deployment=row)
    assert busy.value.exit_code == 8
    assert f"deployment {glass.pk}" in busy.value.message
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL
    assert not Approval.objects.exists()
    assert not AuditEvent.objects.filter(name="deployment.approved").exists()


def test_a_locked_environment_takes_neither_requests_nor_approvals_but_rollbacks(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    row = world.request()
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    with pytest.raises(NotAllowed, match="was locked by operator: exams"):
        approve(actor=world.people["approver"], deployment=row)
    with pytest.raises(NotAllowed, match="was locked by operator: exams"):
        world.request()
    rollback = request_rollback(actor=world.people["operator"], environment=world.production, reason="broken")
    assert rollback.status == Status.QUEUED
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL


def test_requests_expire(world: World) -> None:
    row = world.request()
    assert expire_requests(actor=system_actor("schedule")) == 0
    late = timezone.now() + timedelta(hours=25)
    assert expire_requests(actor=system_actor("schedule"), now=late) == 1
    row.refresh_from_db()
    assert row.status == Status.EXPIRED
    assert row.sentence == "Nobody approved it within 24 hours. Request it again."
    with pytest.raises(NotApproved):
        approve(actor=world.people["approver"], deployment=row)


def test_an_approval_after_its_hour_is_refused_even_before_the_schedule_ran(world: World) -> None:
    row = world.request()
    Deployment.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotApproved) as refused:
        approve(actor=world.people["approver"], deployment=row)
    assert refused.value.reason == "expired"


def test_a_newer_request_supersedes_a_waiting_one_visibly(world: World) -> None:
    values = {"name": "all", "url": "json://localhost/x", "environment": None, "events": ["withdrawn"], "enabled": True}
    save_channel(actor=world.people["administrator"], channel=None, values=values)
    older = world.request()
    newer = world.request("operator")
    older.refresh_from_db()
    assert older.status == Status.SUPERSEDED
    assert older.superseded_by == newer
    assert older.sentence.startswith(f"Deployment {newer.pk} of ")
    assert AuditEvent.objects.get(name="deployment.superseded").data == {"by": newer.pk}
    assert older.sentence in NotificationDelivery.objects.get().body, "who hears of it reads why"


def test_break_glass_is_queued_at_once_and_marked_until_somebody_else_reviewed_it(world: World) -> None:
    row = world.request("requester", break_glass=True)
    assert row.status == Status.QUEUED
    assert AuditEvent.objects.filter(name="deployment.break_glass", subject=f"deployment:{row.pk}").exists()
    with pytest.raises(NotAllowed):
        review_break_glass(actor=world.people["requester"], deployment=row)
    review_break_glass(actor=world.people["approver"], deployment=row, comment="it was right")
    assert row.reviewed_by == "approver"
    with pytest.raises(Conflict):
        review_break_glass(actor=world.people["superuser"], deployment=row)


def test_break_glass_needs_a_reason_and_something_to_break(world: World) -> None:
    ask: dict[str, Any] = {"actor": world.people["operator"], "release": world.releases[1], "break_glass": True}
    with pytest.raises(InvalidRequest, match="needs a reason"):
        request_deployment(environment=world.production, **ask)
    with pytest.raises(InvalidRequest, match="needs no approval"):
        request_deployment(environment=world.test, reason="now", **ask)


def test_everyone_who_wants_to_hears_of_requests_decisions_and_break_glass(world: World) -> None:
    admin = world.people["administrator"]
    for name, events in (("all", []), ("glass", ["break_glass"])):
        values = {"name": name, "url": "json://localhost/x", "environment": None, "events": events, "enabled": True}
        save_channel(actor=admin, channel=None, values=values)
    row = world.request()
    reject(actor=world.people["approver"], deployment=row, comment="not today")
    world.request("operator", break_glass=True)
    told = [(sent.channel.name, sent.event) for sent in NotificationDelivery.objects.order_by("id")]
    assert told == [("all", "approval_wanted"), ("all", "decided"), ("all", "break_glass"), ("glass", "break_glass")]
    decided = NotificationDelivery.objects.get(event="decided")
    assert decided.title == f"production: deployment {row.pk} was rejected by approver"
    assert "not today" in decided.body
    assert f"/deployments/{row.pk}/" in decided.body
    last = AuditEvent.objects.get(name="deployment.rejected")
    assert f"Audit head {last.sequence}:{last.hash}" in decided.body


def test_a_machine_without_the_artifact_decides_nothing(world: World) -> None:
    row = world.request()
    path = Path(row.release.artifact.path)
    kept = path.rename(path.with_suffix(".elsewhere"))
    with pytest.raises(ArtifactElsewhere) as refused:
        approve(actor=world.people["approver"], deployment=row)
    assert refused.value.http_status == 503
    row.refresh_from_db()
    assert (row.status, row.approvals.count()) == (Status.AWAITING_APPROVAL, 0)
    assert world.client("approver").get(f"/deployments/{row.pk}/").status_code == 200
    kept.rename(path)
    approve(actor=world.people["approver"], deployment=row)
    assert row.status == Status.QUEUED
