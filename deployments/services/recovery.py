"""The reaper: settles deployments whose worker died, and queues again what a dead cluster had taken."""

import logging
from datetime import timedelta

from django.utils import timezone

from deployments import queueing
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import Deployment
from deployments.services.access import system_actor
from deployments.services.claims import hand_over, take_over
from deployments.services.conclusions import conclude
from deployments.services.endings import end_target
from deployments.services.recorder import Recorder
from deployments.services.settling import settle_target

logger = logging.getLogger(__name__)

GIVE_UP = timedelta(minutes=30)
"""After this long without an answer from a server the deployment is called interrupted; the reaper keeps asking."""
QUEUED_TOO_LONG = timedelta(seconds=20)
ATTEMPT_SECONDS = 15.0


def reap() -> list[int]:
    """Settle every deployment whose lease has run out; returns their numbers. Safe to run at any time, in parallel."""
    _queue_again()
    stale = Deployment.objects.executing().filter(lease_until__lte=timezone.now())
    return [deployment.pk for deployment in stale.select_related("environment", "release") if _settle(deployment)]


def _settle(deployment: Deployment) -> bool:
    token = take_over(deployment)
    if token is None:
        return False
    actor = system_actor("reaper")
    with Recorder(deployment, token) as recorder:
        for target in deployment.targets.select_related("server").filter(status=TargetStatus.RUNNING):
            if settle_target(deployment, target, recorder.record, patience=ATTEMPT_SECONDS):
                continue
            if deployment.started_at and timezone.now() - deployment.started_at < GIVE_UP:
                hand_over(deployment, token)
                return False
            end_target(
                target,
                TargetStatus.INTERRUPTED,
                outcome="host_unreachable",
                sentence=f"{target.server.name} has not answered since. Its agent reverts by itself at its deadline.",
            )
        conclude(actor=actor, deployment=deployment, recorder=recorder, token=token)
    return True


def _queue_again() -> None:
    """A task that a killed cluster had taken comes back after an hour only; its row says that nobody has it."""
    now = timezone.now()
    for lost in Deployment.objects.filter(status=Status.QUEUED, queued_at__lte=now - QUEUED_TOO_LONG):
        if not queueing.execution_waits(lost.pk):
            queueing.enqueue_execution(lost.pk, rescue=lost.kind == Kind.ROLLBACK)
