"""What the trail says of every decision: who, about what, where, and with which words; of two requests each its own."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, AuditEvent, Deployment, Environment
from deployments.requests.approvals import approve, expire_requests, reject, review_break_glass
from deployments.requests.cancellation import cancel
from deployments.requests.requests import withdraw_orphans
from deployments.requests.rollbacks import request_rollback
from deployments.requests.waiting_rollbacks import queue_waiting_rollback
from engine.errors import Conflict, NotApproved
from tests.deployments.world import World


@pytest.fixture
def waiting(world: World) -> Deployment:
    """A request for production; another one went to test."""
    world.request(environment="test")
    OrmQ.objects.all().delete()
    return world.request(reason="it is new")


def last(name: str, environment: str = "") -> tuple[str, str, str, dict[str, Any]]:
    event = AuditEvent.objects.filter(name=name, environment__startswith=environment).latest("sequence")
    return event.actor, event.subject, event.environment, event.data


def said(row: Deployment, actor: str, **data: Any) -> tuple[str, str, str, dict[str, Any]]:
    return actor, f"deployment:{row.pk}", str(row.environment), data


def fresh(row: Deployment) -> Deployment:
    return Deployment.objects.get(pk=row.pk)


def queued() -> list[tuple[str, tuple[Any, ...]]]:
    return [(each.task["func"].rpartition(".")[2], tuple(each.task["args"])) for each in OrmQ.objects.all()]


def test_a_request(world: World, waiting: Deployment) -> None:
    told = {"release": waiting.release.identifier, "reason": "it is new", "seal": waiting.seal, "rollback_of": None}
    assert last("deployment.requested") == said(
        waiting, "colleague", **told, status="awaiting_approval", targets=["production-1"]
    )
    assert waiting.expires_at is not None
    assert waiting.expires_at - waiting.requested_at == timedelta(hours=waiting.environment.approval_hours)
    assert waiting.queued_at is None


def test_an_approval_and_its_queueing(world: World, waiting: Deployment) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    row = world.request("colleague", reason="with two")
    approve(actor=world.people["approver"], deployment=row, comment="looks good")
    assert last("deployment.approved") == said(row, "approver", seal=row.seal, comment="looks good", approvals="1 of 2")
    assert (fresh(row).status, queued()) == (Status.AWAITING_APPROVAL, [])
    with pytest.raises(Conflict, match="approver has approved"):
        approve(actor=world.people["approver"], deployment=row)
    approve(actor=world.people["superuser"], deployment=row)
    assert last("deployment.approved") == said(row, "superuser", seal=row.seal, comment="", approvals="2 of 2")
    assert fresh(row).status == Status.QUEUED
    assert fresh(row).queued_at is not None
    assert [args[0] for _, args in queued()] == [row.pk]
    assert [each.key for each in OrmQ.objects.all()] == ["deploys"]


def test_a_rejection_takes_ones_own_approval_back(world: World, waiting: Deployment) -> None:
    Environment.objects.filter(name="production").update(approvals_required=2)
    row = world.request("colleague")
    for who in ("approver", "superuser"):
        Approval.objects.create(
            deployment=row,
            actor=who,
            decision=Approval.Decision.APPROVED,
            seal="an older one",
            comment="yes",
            signature="s",
            signed_with="k",
            decided_at=timezone.now() - timedelta(hours=1),
        )
    reject(actor=world.people["approver"], deployment=row, comment="no, wait")
    assert last("deployment.rejected") == said(row, "approver", comment="no, wait", seal=row.seal)
    mine, other = row.approvals.get(actor="approver"), row.approvals.get(actor="superuser")
    assert (mine.decision, mine.comment, mine.seal, mine.signature, mine.signed_with) == (
        Approval.Decision.REJECTED,
        "no, wait",
        row.seal,
        "",
        "",
    )
    assert mine.decided_at > other.decided_at + timedelta(minutes=50)
    assert other.decision == Approval.Decision.APPROVED
    now = fresh(row)
    assert (now.status, now.outcome, now.sentence) == (
        Status.REJECTED,
        "rejected",
        "approver rejected it: no, wait",
    )
    with pytest.raises(NotApproved) as refused:
        approve(actor=world.people["superuser"], deployment=row)
    assert (refused.value.reason, refused.value.hint) == ("not_waiting", now.sentence)


def test_a_review_of_break_glass(world: World) -> None:
    other = world.request("operator", break_glass=True, reason="it burns")
    Deployment.objects.filter(pk=other.pk).update(status=Status.FAILED, finished_at=timezone.now())
    row = world.request("operator", break_glass=True, reason="it burns still")
    assert last("deployment.break_glass")[:3] == ("operator", f"deployment:{row.pk}", "production")
    review_break_glass(actor=world.people["approver"], deployment=row, comment="it did burn")
    assert last("deployment.reviewed") == said(row, "approver", comment="it did burn")
    assert (fresh(row).reviewed_by, fresh(other).reviewed_at) == ("approver", None)
    with pytest.raises(Conflict) as refused:
        review_break_glass(actor=world.people["superuser"], deployment=row)
    assert refused.value.reason == "nothing_to_review"


def test_an_end_of_time(world: World, waiting: Deployment) -> None:
    assert waiting.expires_at is not None
    actor = system_actor("schedule")
    assert expire_requests(actor=actor, now=waiting.expires_at - timedelta(seconds=1)) == 0
    assert expire_requests(actor=actor, now=waiting.expires_at) == 1
    assert last("deployment.expired") == said(waiting, "system:schedule")
    now, hours = fresh(waiting), waiting.environment.approval_hours
    assert (now.status, now.outcome) == (Status.EXPIRED, "expired")
    assert now.sentence == f"Nobody approved it within {hours} hours. Request it again."


def test_a_newer_request_and_what_it_took_the_place_of(world: World, waiting: Deployment) -> None:
    newer = world.request("operator")
    assert last("deployment.superseded") == said(waiting, "operator", by=newer.pk)
    now = fresh(waiting)
    assert (now.status, now.outcome, now.superseded_by) == (Status.SUPERSEDED, "superseded", newer)
    assert now.sentence == f"Deployment {newer.pk} of {newer.release}, requested by operator, took its place."
    assert fresh(newer).status == Status.AWAITING_APPROVAL
    assert Deployment.objects.get(environment__name="test").status == Status.QUEUED


def test_a_cancellation_before_it_began_and_afterwards(world: World, waiting: Deployment) -> None:
    cancel(actor=world.people["operator"], deployment=waiting)
    assert last("deployment.cancelled") == said(waiting, "operator")
    now = fresh(waiting)
    assert (now.status, now.outcome, now.cancel_requested_by) == (Status.CANCELLED, "cancelled", "operator")
    assert now.sentence == "Cancelled by operator before it began."
    with pytest.raises(Conflict) as refused:
        cancel(actor=world.people["operator"], deployment=waiting)
    assert (refused.value.reason, "has ended (cancelled)" in refused.value.message) == ("ended", True)
    running = Deployment.objects.get(environment__name="test")
    Deployment.objects.filter(pk=running.pk).update(status=Status.RUNNING)
    for who in ("operator", "colleague"):
        assert cancel(actor=world.people[who], deployment=running).cancel_requested_by == "operator"
    assert last("deployment.cancel_requested") == said(running, "operator")
    assert AuditEvent.objects.filter(name="deployment.cancel_requested").count() == 1
    assert queued() == [("cancel_remote", (running.pk,))]
    assert fresh(running).status == Status.RUNNING


def test_what_nobody_stands_behind_any_more(world: World, waiting: Deployment) -> None:
    world.user("colleague").groups.clear()
    withdraw_orphans(actor=world.people["superuser"], person="colleagu")
    assert fresh(waiting).status == Status.AWAITING_APPROVAL, "somebody else's name begins like that"
    withdraw_orphans(actor=world.people["superuser"], person="colleague")
    told = {"requested_by": "colleague", "seal": waiting.seal}
    assert last("deployment.withdrawn", "production") == said(waiting, "superuser", **told)
    now = fresh(waiting)
    assert (now.status, now.outcome) == (Status.SUPERSEDED, "nobody_behind_it")
    assert "Nobody stands behind it: colleague" in now.sentence


def test_a_rollback_that_waited_and_is_queued(world: World) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    Deployment.objects.filter(pk=row.pk).update(status=Status.RUNNING)
    rollback = request_rollback(actor=world.people["operator"], environment=world.production, reason="it hangs")
    assert rollback.status == Status.AWAITING_APPROVAL
    event = last("rollback.requested")
    assert (event[0], event[1], event[3]["rollback_of"]) == ("operator", f"deployment:{rollback.pk}", row.pk)
    Deployment.objects.filter(pk=row.pk).update(status=Status.CANCELLED, finished_at=timezone.now())
    OrmQ.objects.all().delete()
    queue_waiting_rollback(fresh(row))
    now = fresh(rollback)
    assert last("rollback.queued") == said(rollback, "system:queue", after=row.pk, seal=now.seal)
    assert (now.status, now.kind, now.sentence) == (Status.QUEUED, Kind.ROLLBACK, "")
    assert now.queued_at is not None
    assert [target.server.name for target in now.targets.select_related("server")] == ["production-1"]
    assert [args[0] for _, args in queued()] == [rollback.pk]
    assert [each.key for each in OrmQ.objects.all()] == ["rescue"]


def test_a_rollback_that_waited_and_cannot_be_made_does_not_take_the_deployments_end_with_it(world: World) -> None:
    world.succeeded(world.releases[0])
    ended = world.succeeded(world.releases[1])
    rollback = Deployment.objects.create(
        environment=world.production,
        release=world.releases[0],
        kind=Kind.ROLLBACK,
        status=Status.AWAITING_APPROVAL,
        requested_by="operator",
        snapshot=ended.snapshot,
        seal=ended.seal,
    )
    world.production.servers.update(state="enrolled")
    queue_waiting_rollback(ended)
    now = fresh(rollback)
    assert (now.status, now.outcome) == (Status.CANCELLED, "not_provisioned")
    assert now.sentence.startswith("The rollback could not begin: ")
    sentence = now.sentence.removeprefix("The rollback could not begin: ")
    assert last("rollback.cancelled") == said(rollback, "system:queue", reason="not_provisioned", sentence=sentence)
