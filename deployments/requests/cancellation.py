"""Cancelling: at once before the start; afterwards the agent ends, restores and proves it."""

import logging

from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor, in_words
from deployments.core.row_locks import locked_environment
from deployments.lifecycle import EXECUTING, Status
from deployments.models import Deployment
from deployments.requests.waiting_rollbacks import queue_waiting_rollback
from engine.errors import Conflict

logger = logging.getLogger(__name__)

"""How long a cancellation insists before it leaves the rest to the reaper; longer than a worker's lease."""


def cancel(*, actor: Actor, deployment: Deployment) -> Deployment:
    """Cancel a deployment that has not ended. Raises Conflict when it has.

    What runs on a server is ended by its agent, which restores what it began; the status follows when that is proven.
    """
    require(actor, Verb.CANCEL, deployment.environment)
    with transaction.atomic():
        locked_environment(deployment.environment_id)
        moved = any(
            Deployment.objects.move(
                deployment.pk,
                Status.CANCELLED,
                source=source,
                outcome="cancelled",
                sentence=f"Cancelled by {in_words(str(actor))} before it began.",
                cancel_requested_by=str(actor),
            )
            for source in (Status.AWAITING_APPROVAL, Status.QUEUED)
        )
        if not moved and not _asked_to_end(actor, deployment):
            return deployment
        trail.record(
            actor=actor,
            name="deployment.cancelled" if moved else "deployment.cancel_requested",
            subject=f"deployment:{deployment.pk}",
            environment=deployment.environment,
        )
        if moved:
            queue_waiting_rollback(deployment)
    deployment.refresh_from_db()
    return deployment


def _asked_to_end(actor: Actor, deployment: Deployment) -> bool:
    """Whether this was the first to ask a running one to end; False where somebody did before. Raises Conflict."""
    running = Deployment.objects.filter(pk=deployment.pk, status__in=EXECUTING, cancel_requested_by="")
    if running.update(cancel_requested_by=str(actor)):
        queueing.enqueue_cancellation(deployment.pk)
        return True
    deployment.refresh_from_db()
    if deployment.ended:
        raise Conflict(
            f"Deployment {deployment.pk} has ended ({deployment.get_status_display().lower()}).",
            hint="There is nothing to cancel; to go back, ask for a rollback.",
            reason="ended",
        )
    return False
