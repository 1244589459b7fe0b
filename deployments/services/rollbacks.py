"""Going back: a new deployment of an earlier release, without approval, before everything else."""

from django.db import transaction

from deployments import queueing, selectors
from deployments.errors import InvalidRequest
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.services.access import Actor, require
from deployments.services.cancellation import cancel
from deployments.services.requests import record_request
from deployments.services.snapshots import take_snapshot


def request_rollback(*, actor: Actor, environment: Environment, reason: str, to: Release | None = None) -> Deployment:
    """Ask for an earlier release (the previous one unless `to` names another).

    A running deployment is cancelled first, and the rollback begins when that is proven. Raises NotAllowed,
    InvalidRequest (no reason, nothing to go back to).
    """
    require(actor, "roll_back", environment)
    if not reason.strip():
        raise InvalidRequest("A rollback needs a reason.", hint="Say what is wrong (--reason).")
    release = to or selectors.rollback_target(environment)
    if release is None:
        raise InvalidRequest(
            f"{environment} has no earlier release to go back to.",
            hint="Deploy a good release instead, or name one with --to.",
            reason="no_rollback_target",
        )
    running = selectors.active_deployment(environment)
    bad = running or _last_success(environment)
    snapshot = take_snapshot(environment=environment, release=release, kind=Kind.ROLLBACK)
    with transaction.atomic():
        deployment = record_request(
            actor=actor,
            environment=environment,
            release=release,
            snapshot=snapshot,
            status=Status.AWAITING_APPROVAL if running else Status.QUEUED,
            reason=reason,
            kind=Kind.ROLLBACK,
            rollback_of=bad,
        )
        if running:
            Deployment.objects.filter(pk=deployment.pk).update(
                expires_at=None, sentence=f"Waits until deployment {running.pk} is cancelled."
            )
        else:
            queueing.enqueue_execution(deployment.pk, rescue=True)
    if running:
        cancel(actor=actor, deployment=running)
    deployment.refresh_from_db()
    return deployment


def _last_success(environment: Environment) -> Deployment | None:
    return (
        Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED)
        .order_by("-finished_at", "-id")
        .first()
    )
