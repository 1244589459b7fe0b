"""Whether a seal still covers what would happen, and ending a request whose seal is broken."""

from deployments.access.signatures import until
from deployments.core.actors import Actor, identity_in
from deployments.environments.guards import frozen
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment, Release
from deployments.releases.artifacts import ArtifactElsewhere
from deployments.requests.audit_evidence import Evidence
from deployments.requests.requests import withdraw
from deployments.requests.rollback_targets import rollback_snapshot
from deployments.requests.signed_approvals import signatures_needed, signers
from deployments.requests.snapshots import take_snapshot
from deployments.snapshot import Snapshot, differences, seal
from engine.artifacts.errors import ArtifactIncomplete
from engine.errors import NotApproved, PortalError


def broken_seal(deployment: Deployment, evidence: Evidence | None = None) -> list[str]:
    """Why the seal does not cover what would happen now, in sentences; empty when it does.

    A queued deployment whose policy asks for approvals must also have them, given for this very seal by others than
    its requester, and the audit trail must know of the request and of each: a row written or moved by hand is not run.
    Raises ArtifactElsewhere where this machine cannot tell.
    """
    if seal(deployment.snapshot) != deployment.seal:
        return ["The stored snapshot itself was altered."]
    evidence = evidence or Evidence.of(deployment)
    if not evidence.requested:
        return ["The audit trail knows of no such request: somebody wrote it into the database, or changed it there."]
    if since := _condemned_since(deployment):
        return [since]
    if deployment.status == Status.QUEUED and (lacking := _lacking(evidence)):
        return [lacking]
    try:
        now = _snapshot_now(deployment)
    except ArtifactElsewhere:
        raise
    except ArtifactIncomplete as error:
        raise ArtifactElsewhere(deployment.release, error.message) from error
    except PortalError as error:
        return [str(error)]
    return differences(evidence.sealed, now)


def lacking_now(deployment: Deployment) -> str:
    """What a queued deployment lacks, by locks and people as they are once its environment's row is ours."""
    return _lacking(Evidence.of(deployment))


def _lacking(evidence: Evidence) -> str:
    return _locked(evidence.deployment) or _lacking_approvals(evidence)


def _condemned_since(deployment: Deployment) -> str:
    """What was asked for before its release went into quarantine was asked for, and agreed to, without knowing that."""
    release = Release.objects.get(pk=deployment.release_id)
    if deployment.drill or release.quarantined_at is None or release.quarantined_at < deployment.requested_at:
        return ""
    return f"{release} went into quarantine after it was asked for: {release.quarantine_reason}"


def _snapshot_now(deployment: Deployment) -> Snapshot:
    if deployment.kind == Kind.ROLLBACK:
        return rollback_snapshot(environment=deployment.environment, release=deployment.release)
    return take_snapshot(environment=deployment.environment, release=deployment.release)


def approvals_needed(deployment: Deployment, sealed: Snapshot | None = None) -> int:
    """How many approvals the sealed policy asks for; none with break-glass. `sealed`: its snapshot, if it was read."""
    return 0 if deployment.break_glass else (sealed or deployment.sealed).policy.approvals_required


def approvals_given(deployment: Deployment) -> int:
    """How many people other than the requester have approved this seal; before the start, those who still may."""
    if deployment.status in (Status.AWAITING_APPROVAL, Status.QUEUED):
        return len(Evidence.of(deployment).standing_approvers())
    given = deployment.approvals.filter(decision=Approval.Decision.APPROVED, seal=deployment.seal)
    return given.exclude(actor=identity_in(deployment.requested_by)).count()


def _locked(deployment: Deployment) -> str:
    """An environment that is locked or under maintenance lets back, and only back."""
    return "" if deployment.kind == Kind.ROLLBACK else frozen(deployment.environment)


def _lacking_approvals(evidence: Evidence) -> str:
    """What a queued deployment lacks; who may still approve is asked once."""
    deployment, sealed = evidence.deployment, evidence.sealed
    if deployment.kind != Kind.DEPLOYMENT:
        return ""
    signed_needed, needed = signatures_needed(deployment, sealed), approvals_needed(deployment, sealed)
    if not signed_needed and not needed:
        return ""
    standing = evidence.standing_approvers()
    if signed_needed:
        signed = signers(deployment) & standing
        if len(signed) < signed_needed:
            return (
                f"It has {len(signed)} of the {signed_needed} signed approvals it needs, by keys that count here and "
                f"before {until(deployment)}. A server that this machine was not told of takes one: "
                "`manage.py approvals anchor` tells it."
            )
    given = len(standing)
    if given >= needed:
        return ""
    gone = sorted(evidence.approvers() - standing)
    left = f" {', '.join(gone)} may not approve any more." if gone else ""
    return f"It has {given} of the {needed} approvals it needs.{left}"


def withdraw_broken(deployment: Deployment, changes: list[str], *, actor: Actor) -> NotApproved:
    """End a request whose sealed inputs changed, and give the error that says what changed."""
    error = NotApproved(
        f"The approval no longer covers what would happen: {' '.join(changes)}",
        hint="Request the deployment again; whoever approves will see the change.",
        reason="seal_broken",
    )
    withdraw(actor, deployment, error, "voided", {"changes": changes})
    return error
