"""Deciding about a request: four eyes, the seal, and queueing in one transaction.

Every decision locks the environment's row first: decisions about one environment happen one after the other, on both
databases, and always take their locks in the same order.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from deployments.access.four_eyes import refuse_same_person
from deployments.access.policy import require
from deployments.access.signatures import approving, key_that_signed, until
from deployments.access.trust_anchor import trusted_keys
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor, in_words
from deployments.core.row_locks import locked_deployment
from deployments.core.texts import checked
from deployments.environments.guards import refuse_busy, refuse_locked
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment, SigningKey
from deployments.notifications.messages import notify
from deployments.requests.audit_evidence import Evidence
from deployments.requests.requests import withdraw_orphan
from deployments.requests.seals import approvals_needed, broken_seal, withdraw_broken
from deployments.requests.signed_approvals import signatures_needed
from engine.errors import Conflict, InvalidRequest, NotAllowed, NotApproved


def approve(*, actor: Actor, deployment: Deployment, comment: str = "", signature: str = "") -> Deployment:
    """Approve a waiting request; the last approval it needs queues it.

    `signature` is one by a confirmed key of the person's over the seal (`access.signatures`).

    Raises NotAllowed (role, four eyes, environment locked, a signature that is none), NotApproved (decided, expired, or
    a sealed input changed: the request ends), EnvironmentBusy (nothing recorded, the request stays waiting), Conflict
    (approved by this person already), InvalidRequest (comment too long).
    """
    require(actor, Verb.APPROVE, deployment.environment)
    refuse_same_person(actor, deployment.requested_by, what="a deployment")
    comment = checked(comment, what="A comment")
    with transaction.atomic():
        locked = locked_deployment(deployment.pk, deployment.environment_id)
        _refuse_decided(locked)
        refuse_locked(locked.environment)
        error, evidence = withdraw_orphan(locked, actor=actor), Evidence.of(locked)
        if error is None and (changes := broken_seal(locked, evidence)):
            error = withdraw_broken(locked, changes, actor=actor)
        if error is None:
            _approve(actor, evidence, comment, signature)
    if error is not None:  # outside of the transaction, which writes how it ended
        raise error
    deployment.refresh_from_db()
    return deployment


def reject(*, actor: Actor, deployment: Deployment, comment: str) -> Deployment:
    """Refuse a waiting request, with the reason its requester reads; one's own earlier approval is taken back by it."""
    require(actor, Verb.APPROVE, deployment.environment)
    refuse_same_person(actor, deployment.requested_by, what="a deployment")
    if not comment.strip():
        raise InvalidRequest("A rejection needs a reason.", hint="Say what should change.", reason="no_reason")
    comment = checked(comment, what="A comment")
    with transaction.atomic():
        locked = locked_deployment(deployment.pk, deployment.environment_id)
        _refuse_decided(locked)
        Approval.objects.update_or_create(
            deployment=locked,
            actor=actor.identity,
            defaults={
                "decision": Approval.Decision.REJECTED,
                "comment": comment,
                "seal": locked.seal,
                "signature": "",
                "signed_with": "",
                "decided_at": timezone.now(),
            },
        )
        locked.sentence = f"{in_words(str(actor))} rejected it: {comment}"
        Deployment.objects.move(
            locked.pk,
            Status.REJECTED,
            source=Status.AWAITING_APPROVAL,
            outcome="rejected",
            sentence=locked.sentence,
        )
        trail.record(
            actor=actor,
            name="deployment.rejected",
            subject=f"deployment:{locked.pk}",
            environment=locked.environment,
            data={"comment": comment, "seal": locked.seal},
        )
        notify(locked, "decided", approved=False, by=str(actor))
    deployment.refresh_from_db()
    return deployment


def void_consents(*, actor: Actor, given: QuerySet[Approval], why: str) -> None:
    """End the requests that rest on these approvals and have not begun; runs in its caller's transaction."""
    given = given.filter(decision=Approval.Decision.APPROVED)
    undecided = Deployment.objects.filter(
        status__in=(Status.AWAITING_APPROVAL, Status.QUEUED), pk__in=given.values("deployment")
    )
    for row in undecided.select_related("environment", "release"):
        withdraw_broken(row, [why], actor=actor)


def review_break_glass(*, actor: Actor, deployment: Deployment, comment: str = "") -> Deployment:
    """A second person has looked at a use of break-glass; the mark goes from every page."""
    require(actor, Verb.REVIEW, deployment.environment)
    refuse_same_person(actor, deployment.requested_by, what="break-glass")
    comment = checked(comment, what="A comment")
    with transaction.atomic():
        rows = Deployment.objects.filter(pk=deployment.pk, break_glass=True, reviewed_at=None)
        if not rows.update(reviewed_by=str(actor), reviewed_at=timezone.now()):
            raise Conflict(
                f"Deployment {deployment.pk} has no use of break-glass to review.", reason="nothing_to_review"
            )
        trail.record(
            actor=actor,
            name="deployment.reviewed",
            subject=f"deployment:{deployment.pk}",
            environment=deployment.environment,
            data={"comment": comment},
        )
        notify(deployment, "break_glass", reviewed_by=str(actor), comment=comment)
    deployment.refresh_from_db()
    return deployment


def expire_requests(*, actor: Actor, now: datetime | None = None) -> int:
    """End waiting requests that are past their time; returns how many."""
    now = now or timezone.now()
    ended = 0
    for request in Deployment.objects.filter(status=Status.AWAITING_APPROVAL, expires_at__lte=now):
        with transaction.atomic():
            locked = locked_deployment(request.pk, request.environment_id)
            hours = locked.environment.approval_hours
            sentence = f"Nobody approved it within {hours} hours. Request it again."
            if Deployment.objects.move(
                locked.pk, Status.EXPIRED, source=Status.AWAITING_APPROVAL, outcome="expired", sentence=sentence
            ):
                trail.record(
                    actor=actor,
                    name="deployment.expired",
                    subject=f"deployment:{locked.pk}",
                    environment=locked.environment,
                )
                locked.refresh_from_db()
                notify(locked, "withdrawn")
                ended += 1
    return ended


def _approve(actor: Actor, evidence: Evidence, comment: str, signature: str) -> None:
    locked = evidence.deployment
    key = key_that_signed(locked, actor.identity, signature) if signature else None
    _refuse_unsigned(evidence, key)
    try:
        with transaction.atomic():
            Approval.objects.create(
                deployment=locked,
                actor=actor.identity,
                decision=Approval.Decision.APPROVED,
                comment=comment,
                seal=locked.seal,
                signature=signature,
                signed_with=key.fingerprint if key else "",
            )
    except IntegrityError as error:
        said = f"{in_words(str(actor))} has approved deployment {locked.pk} already."
        raise Conflict(said, reason="approved_already") from error
    given = len(evidence.standing_approvers()) + 1  # the trail has not heard of this one yet
    needed = approvals_needed(locked, evidence.sealed)
    trail.record(
        actor=actor,
        name="deployment.approved",
        subject=f"deployment:{locked.pk}",
        environment=locked.environment,
        data={
            "seal": locked.seal,
            "comment": comment,
            "approvals": f"{given} of {needed}",
            **(_signed(locked, key, signature) if key else {}),
        },
    )
    if given < needed:
        return
    refuse_busy(locked.environment)
    if not Deployment.objects.move(locked.pk, Status.QUEUED, source=Status.AWAITING_APPROVAL, queued_at=timezone.now()):
        raise NotApproved(f"Deployment {locked.pk} was decided by somebody else just now.", reason="not_waiting")
    queueing.enqueue_execution(locked.pk, rescue=False)
    notify(locked, "decided", approved=True, by=str(actor))


def _refuse_unsigned(evidence: Evidence, key: SigningKey | None) -> None:
    """Where signatures are asked for: with a key that the workers will count."""
    locked = evidence.deployment
    if not signatures_needed(locked, evidence.sealed):
        return
    if key is None:
        raise NotAllowed(
            f"{locked.environment} takes signed approvals only.",
            hint=f"`manage.py approve {locked.pk} --sign-with KEY` signs it.",
            reason="signature_needed",
        )
    if key.public_key not in trusted_keys(key.person):
        raise NotAllowed(
            f"The key {key.fingerprint} does not count on this machine yet.",
            hint=f"Whoever runs the portal lets it: `manage.py approvals trust --fingerprint {key.fingerprint}`.",
            reason="key_not_trusted",
        )


def _signed(locked: Deployment, key: SigningKey, signature: str) -> dict[str, str]:
    """Everything that somebody without this program needs to check it."""
    return {
        "until": until(locked),
        "signed": approving(locked, key.person),
        "signature": signature,
        "public_key": key.public_key,
    }


def why_over(deployment: Deployment) -> NotApproved | None:
    """What a decision about it would be refused with: it is decided, has expired or was superseded."""
    try:
        _refuse_decided(deployment)
    except NotApproved as refused:
        return refused
    return None


def _refuse_decided(deployment: Deployment) -> None:
    if deployment.status != Status.AWAITING_APPROVAL or deployment.kind != Kind.DEPLOYMENT:
        raise NotApproved(
            f"Deployment {deployment.pk} is {deployment.get_status_display().lower()}: there is nothing to decide.",
            hint=deployment.sentence,
            reason="not_waiting",
        )
    if deployment.expires_at and deployment.expires_at <= timezone.now():
        raise NotApproved(f"Deployment {deployment.pk} has expired.", hint="Request it again.", reason="expired")
