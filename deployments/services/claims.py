"""Winning a deployment: QUEUED → RUNNING by compare-and-set, with the environment's next fence."""

import os
import socket
import uuid
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from deployments import notifications, queueing
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment
from deployments.services import audit
from deployments.services.access import system_actor
from deployments.services.approvals import broken_seal
from deployments.services.recorder import LEASE
from deployments.services.requests import withdraw_broken


def worker_name() -> str:
    """This process, for the record."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(deployment_id: int) -> Deployment | None:
    """Claim a queued deployment; None when it is not queued any more (normal: delivery is at least once).

    A request whose sealed inputs changed since its approval ends here and is not run.
    """
    deployment = Deployment.objects.select_related("environment", "release").filter(pk=deployment_id).first()
    if deployment is None or deployment.status != Status.QUEUED:
        return None
    actor = system_actor("worker")
    if changes := broken_seal(deployment):
        withdraw_broken(deployment, changes, actor=actor)
        return None
    now = timezone.now()
    token = uuid.uuid4()
    with transaction.atomic():
        Environment.objects.filter(pk=deployment.environment_id).update(fence=F("fence") + 1)
        fence = Environment.objects.values_list("fence", flat=True).get(pk=deployment.environment_id)
        won = Deployment.objects.move(
            deployment_id,
            Status.RUNNING,
            source=Status.QUEUED,
            claim=None,
            started_at=now,
            lease_until=now + LEASE,
            worker=worker_name(),
            fence=fence,
        )
        if not won:
            transaction.set_rollback(True)
            return None
        Deployment.objects.filter(pk=deployment_id).update(claim=token)
        audit.record(
            actor=actor,
            name="deployment.started",
            subject=f"deployment:{deployment_id}",
            environment=deployment.environment,
            data={"fence": fence, "worker": worker_name(), "seal": deployment.seal},
        )
        if notifications.announce(deployment, "started"):
            queueing.enqueue_delivery()
    deployment.refresh_from_db()
    return deployment


def take_over(deployment: Deployment, *, now: datetime | None = None) -> UUID | None:
    """Take an executing deployment whose lease has run out; None when its worker is alive or somebody was faster."""
    now = now or timezone.now()
    token = uuid.uuid4()
    rows = Deployment.objects.executing().filter(pk=deployment.pk, claim=deployment.claim, lease_until__lte=now)
    if rows.update(claim=token, lease_until=now + LEASE, worker=worker_name()) != 1:
        return None
    deployment.refresh_from_db()
    return token


def hand_over(deployment: Deployment, token: UUID) -> None:
    """Let the lease run out now, so that the reaper goes on."""
    Deployment.objects.executing().filter(pk=deployment.pk, claim=token).update(lease_until=timezone.now())
