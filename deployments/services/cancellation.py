"""Cancelling: at once before the start; afterwards the agent ends, restores and proves it."""

import logging
import time

from django.db import transaction
from django.utils import timezone

from deployments import queueing
from deployments.errors import Conflict, PortalError
from deployments.lifecycle import EXECUTING, Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.services import audit
from deployments.services.access import Actor, require
from deployments.services.connections import agent, open_target
from deployments.services.promotion import promote_waiting_rollback
from deployments.services.recovery import settle
from deployments.services.rowlocks import locked_environment
from deployments.services.settling import target_snapshot

logger = logging.getLogger(__name__)

INSIST_SECONDS = 45.0
"""How long a cancellation insists before it leaves the rest to the reaper; longer than a worker's lease."""
_PAUSE_SECONDS = 0.2


def cancel(*, actor: Actor, deployment: Deployment) -> Deployment:
    """Cancel a deployment that has not ended. Raises Conflict when it has.

    What runs on a server is ended by its agent, which restores what it began; the status follows when that is proven.
    """
    require(actor, "cancel", deployment.environment)
    with transaction.atomic():
        locked_environment(deployment.environment_id)
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
    """End what agents do for this deployment, until it has ended; returns what was found.

    The worker concludes when its agent says how it ended. It may be about to begin when we come, so this insists; and
    it may be dead, so this settles the deployment when the lease has run out.
    """
    said = "Nothing was running on any server."
    ends = time.monotonic() + INSIST_SECONDS
    while True:
        deployment = Deployment.objects.select_related("environment", "release").get(pk=deployment_id)
        if deployment.status not in EXECUTING:
            return said
        for target in deployment.targets.select_related("server").filter(status=TargetStatus.RUNNING):
            said = _end_agent(deployment, target)
        if deployment.lease_until and deployment.lease_until <= timezone.now():
            settle(deployment)
        if time.monotonic() > ends:
            logger.warning("deployment %s: not cancelled yet: %s", deployment_id, said)
            return said
        time.sleep(_PAUSE_SECONDS)


def _end_agent(deployment: Deployment, target: Target) -> str:
    try:
        with open_target(deployment.environment, target_snapshot(deployment, target)) as session:
            client = agent(session, deployment.snapshot["application"])
            return client.cancel(str(deployment.pk), deployment.fence or 0).sentence
    except PortalError as error:
        logger.warning("deployment %s: cancelling on %s: %s", deployment.pk, target.server.name, error)
        return str(error)
