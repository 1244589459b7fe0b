"""Cancelling: at once before the start; afterwards the agent ends, restores and proves it."""

import logging

from django.db import transaction

from deployments import queueing
from deployments.errors import Conflict, PortalError
from deployments.lifecycle import EXECUTING, Status, TargetStatus
from deployments.models import Deployment
from deployments.services import audit
from deployments.services.access import Actor, require
from deployments.services.connections import agent, open_target
from deployments.services.promotion import promote_waiting_rollback
from deployments.services.settling import target_snapshot

logger = logging.getLogger(__name__)


def cancel(*, actor: Actor, deployment: Deployment) -> Deployment:
    """Cancel a deployment that has not ended. Raises Conflict when it has.

    What runs on a server is ended by its agent, which restores what it began; the status follows when that is proven.
    """
    require(actor, "cancel", deployment.environment)
    with transaction.atomic():
        moved = any(
            Deployment.objects.move(
                deployment.pk,
                Status.CANCELLED,
                source=source,
                outcome="cancelled",
                sentence=f"Cancelled by {actor} before it began.",
                cancel_requested_by=str(actor),
            )
            for source in (Status.AWAITING_APPROVAL, Status.QUEUED)
        )
        if not moved:
            running = Deployment.objects.filter(pk=deployment.pk, status__in=EXECUTING, cancel_requested_by="")
            if running.update(cancel_requested_by=str(actor)):
                queueing.enqueue_cancellation(deployment.pk)
            else:
                deployment.refresh_from_db()
                if deployment.ended:
                    raise Conflict(
                        f"Deployment {deployment.pk} has ended ({deployment.get_status_display().lower()}).",
                        hint="There is nothing to cancel; to go back, ask for a rollback.",
                        reason="ended",
                    )
                return deployment
        audit.record(
            actor=actor,
            name="deployment.cancelled" if moved else "deployment.cancel_requested",
            subject=f"deployment:{deployment.pk}",
            environment=deployment.environment,
        )
        if moved:
            promote_waiting_rollback(deployment)
    deployment.refresh_from_db()
    return deployment


def cancel_remote(deployment_id: int) -> str:
    """End what the agent does for this deployment; returns what it found. The worker waiting for it concludes."""
    deployment = Deployment.objects.select_related("environment").get(pk=deployment_id)
    for target in deployment.targets.select_related("server").filter(status=TargetStatus.RUNNING):
        try:
            with open_target(deployment.environment, target_snapshot(deployment, target)) as session:
                result = agent(session, deployment.snapshot["application"]).cancel(
                    str(deployment.pk), deployment.fence or 0, lambda record: None
                )
        except PortalError as error:
            logger.warning("deployment %s: cancelling on %s: %s", deployment_id, target.server.name, error)
            return str(error)
        return result.sentence
    return "Nothing was running on any server."
