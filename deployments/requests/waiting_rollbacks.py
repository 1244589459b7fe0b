"""A rollback that waits for a running deployment to be cancelled is queued the moment that one ends."""

from django.db import transaction
from django.utils import timezone

from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment
from deployments.notifications.messages import notify
from deployments.requests.rollback_targets import rollback_snapshot
from deployments.requests.targets import write_targets
from engine.errors import PortalError


def queue_waiting_rollback(ended: Deployment) -> None:
    """Queue the rollback that waited for `ended`, sealed anew on what is true now; runs in the caller's transaction.

    A rollback that cannot be made any more is cancelled with the reason: it must not take the end of `ended` with it.
    """
    rollback = (
        Deployment.objects.filter(environment=ended.environment, kind=Kind.ROLLBACK, status=Status.AWAITING_APPROVAL)
        .select_related("environment", "release")
        .order_by("id")
        .first()
    )
    if rollback is None:
        return
    try:
        with transaction.atomic():
            _queue(rollback, ended)
    except PortalError as error:
        _give_up(rollback, error)


def _queue(rollback: Deployment, ended: Deployment) -> None:
    snapshot = rollback_snapshot(environment=rollback.environment, release=rollback.release)
    rollback.snapshot, rollback.seal = snapshot.with_seal()
    queued = Deployment.objects.move(
        rollback.pk,
        Status.QUEUED,
        source=Status.AWAITING_APPROVAL,
        queued_at=timezone.now(),
        snapshot=rollback.snapshot,
        seal=rollback.seal,
        sentence="",
    )
    if not queued:
        return
    write_targets(rollback, snapshot)
    trail.record(
        actor=system_actor("queue"),
        name="rollback.queued",
        subject=f"deployment:{rollback.pk}",
        environment=rollback.environment,
        data={"after": ended.pk, "seal": rollback.seal},
    )
    queueing.enqueue_execution(rollback.pk, rescue=True)


def _give_up(rollback: Deployment, error: PortalError) -> None:
    if Deployment.objects.move(
        rollback.pk,
        Status.CANCELLED,
        source=Status.AWAITING_APPROVAL,
        outcome=error.reason[:60],
        sentence=f"The rollback could not begin: {error}",
    ):
        trail.record(
            actor=system_actor("queue"),
            name="rollback.cancelled",
            subject=f"deployment:{rollback.pk}",
            environment=rollback.environment,
            data={"reason": error.reason, "sentence": str(error)},
        )
        rollback.refresh_from_db()
        notify(rollback, "cancelled")
