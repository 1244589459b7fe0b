"""A rollback that waits for a running deployment to be cancelled is queued the moment that one ends."""

from django.utils import timezone

from deployments import queueing
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment
from deployments.plans.snapshot import seal
from deployments.services.snapshots import take_snapshot


def promote_waiting_rollback(ended: Deployment) -> None:
    """Queue the rollback that waited for `ended`, sealed anew on what is true now; runs in the caller's transaction."""
    rollback = (
        Deployment.objects.filter(environment=ended.environment, kind=Kind.ROLLBACK, status=Status.AWAITING_APPROVAL)
        .select_related("environment", "release")
        .order_by("id")
        .first()
    )
    if rollback is None:
        return
    snapshot = take_snapshot(environment=rollback.environment, release=rollback.release, kind=Kind.ROLLBACK)
    queued = Deployment.objects.move(
        rollback.pk,
        Status.QUEUED,
        source=Status.AWAITING_APPROVAL,
        queued_at=timezone.now(),
        snapshot=snapshot,
        seal=seal(snapshot),
        sentence="",
    )
    if queued:
        queueing.enqueue_execution(rollback.pk, rescue=True)
