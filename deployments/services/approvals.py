"""Deciding about a request: four eyes, the seal, and queueing in one transaction."""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments import notifications, queueing
from deployments.errors import Conflict, InvalidRequest, NotAllowed, NotApproved, PortalError
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment
from deployments.plans.snapshot import differences, seal
from deployments.services import audit
from deployments.services.access import Actor, require
from deployments.services.requests import refuse_busy, withdraw_broken
from deployments.services.snapshots import take_snapshot


def approve(*, actor: Actor, deployment: Deployment, comment: str = "") -> Deployment:
    """Approve a waiting request; the last approval it needs queues it.

    Raises NotAllowed (role, four eyes), NotApproved (decided, expired, or a sealed input changed: the request ends),
    EnvironmentBusy (nothing is recorded, the request stays waiting), Conflict (approved by this person already).
    """
    require(actor, "approve", deployment.environment)
    _refuse_requester(actor, deployment)
    if changes := broken_seal(deployment):
        raise withdraw_broken(deployment, changes, actor=actor)
    with transaction.atomic():
        locked = Deployment.objects.select_for_update().select_related("environment", "release").get(pk=deployment.pk)
        _refuse_decided(locked)
        try:
            with transaction.atomic():
                Approval.objects.create(
                    deployment=locked,
                    actor=actor.identity,
                    decision=Approval.Decision.APPROVED,
                    comment=comment,
                    seal=locked.seal,
                )
        except IntegrityError as error:
            raise Conflict(
                f"{actor} has approved deployment {locked.pk} already.", reason="approved_already"
            ) from error
        given = locked.approvals.filter(decision=Approval.Decision.APPROVED, seal=locked.seal).count()
        needed = int(locked.snapshot["policy"]["approvals_required"])
        audit.record(
            actor=actor,
            name="deployment.approved",
            subject=f"deployment:{locked.pk}",
            environment=locked.environment,
            data={"seal": locked.seal, "comment": comment, "approvals": f"{given} of {needed}"},
        )
        if given >= needed:
            refuse_busy(locked.environment)
            if not Deployment.objects.move(
                locked.pk, Status.QUEUED, source=Status.AWAITING_APPROVAL, queued_at=timezone.now()
            ):
                raise NotApproved(f"Deployment {locked.pk} was decided by somebody else just now.")
            queueing.enqueue_execution(locked.pk, rescue=False)
            notifications.announce(locked, "decided", approved=True, by=str(actor))
    deployment.refresh_from_db()
    return deployment


def reject(*, actor: Actor, deployment: Deployment, comment: str) -> Deployment:
    """Refuse a waiting request, with the reason its requester reads."""
    require(actor, "approve", deployment.environment)
    if not comment.strip():
        raise InvalidRequest("A rejection needs a reason.", hint="Say what should change.")
    with transaction.atomic():
        locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
        _refuse_decided(locked)
        Approval.objects.create(
            deployment=locked,
            actor=actor.identity,
            decision=Approval.Decision.REJECTED,
            comment=comment,
            seal=locked.seal,
        )
        Deployment.objects.move(
            locked.pk,
            Status.REJECTED,
            source=Status.AWAITING_APPROVAL,
            outcome="rejected",
            sentence=f"{actor} rejected it: {comment}",
        )
        audit.record(
            actor=actor,
            name="deployment.rejected",
            subject=f"deployment:{locked.pk}",
            environment=locked.environment,
            data={"comment": comment},
        )
        notifications.announce(locked, "decided", approved=False, by=str(actor))
    deployment.refresh_from_db()
    return deployment


def review_break_glass(*, actor: Actor, deployment: Deployment, comment: str = "") -> Deployment:
    """A second person has looked at a use of break-glass; the mark goes from every page."""
    require(actor, "review", deployment.environment)
    _refuse_requester(actor, deployment)
    with transaction.atomic():
        rows = Deployment.objects.filter(pk=deployment.pk, break_glass=True, reviewed_at=None)
        if not rows.update(reviewed_by=str(actor), reviewed_at=timezone.now()):
            raise Conflict(
                f"Deployment {deployment.pk} has no use of break-glass to review.", reason="nothing_to_review"
            )
        audit.record(
            actor=actor,
            name="deployment.reviewed",
            subject=f"deployment:{deployment.pk}",
            environment=deployment.environment,
            data={"comment": comment},
        )
    deployment.refresh_from_db()
    return deployment


def expire_requests(*, actor: Actor, now: datetime | None = None) -> int:
    """End waiting requests that are past their time; returns how many."""
    now = now or timezone.now()
    ended = 0
    for late in Deployment.objects.filter(status=Status.AWAITING_APPROVAL, expires_at__lte=now):
        with transaction.atomic():
            sentence = f"Nobody approved it within {late.environment.approval_hours} hours. Request it again."
            if Deployment.objects.move(
                late.pk, Status.EXPIRED, source=Status.AWAITING_APPROVAL, outcome="expired", sentence=sentence
            ):
                audit.record(
                    actor=actor,
                    name="deployment.expired",
                    subject=f"deployment:{late.pk}",
                    environment=late.environment,
                )
                ended += 1
    return ended


def broken_seal(deployment: Deployment) -> list[str]:
    """What changed since the request was sealed, in sentences; empty when the seal holds."""
    if seal(deployment.snapshot) != deployment.seal:
        return ["The stored snapshot itself was altered."]
    try:
        now = take_snapshot(environment=deployment.environment, release=deployment.release, kind=Kind(deployment.kind))
    except PortalError as error:
        return [str(error)]
    return differences(deployment.snapshot, now)


def requester_of(deployment: Deployment) -> str:
    """The person behind the request: a token answers for its owner."""
    return deployment.requested_by.split("/token:")[0]


def _refuse_requester(actor: Actor, deployment: Deployment) -> None:
    if actor.identity == requester_of(deployment):
        raise NotAllowed(
            "Whoever asked for a deployment cannot be the one who approves it.",
            hint="Ask a second person; being an administrator makes no difference.",
            reason="four_eyes",
        )


def _refuse_decided(deployment: Deployment) -> None:
    if deployment.status != Status.AWAITING_APPROVAL or deployment.kind != Kind.DEPLOYMENT:
        raise NotApproved(
            f"Deployment {deployment.pk} is {deployment.get_status_display().lower()}: there is nothing to decide.",
            reason="not_waiting",
        )
    if deployment.expires_at and deployment.expires_at <= timezone.now():
        raise NotApproved(f"Deployment {deployment.pk} has expired.", hint="Request it again.", reason="expired")
