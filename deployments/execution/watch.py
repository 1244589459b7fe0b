"""The watch after success: servers are asked now and then what became of their units, and no worker waits for it."""

import logging

from django.db import transaction
from django.utils import timezone

from deployments.core import queueing
from deployments.core.actors import Actor
from deployments.core.sessions import open_target
from deployments.execution.host_inquiry import run_fence
from deployments.execution.verdict import with_watch
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.requests.bake import report_crash
from engine.errors import PortalError
from engine.remote import AgentClient, Result

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 30.0
"""Between two looks while a deployment bakes."""


def watch(*, actor: Actor, number: int) -> str:
    """Ask every server of a deployment; a crash takes it back while it bakes, and is told otherwise.

    Ends when the deployment is not what runs any more, or its bake is over; else it is looked at again. Returns what it
    came to, for the queue's record.
    """
    deployment = Deployment.objects.select_related("environment", "release").get(pk=number)
    if not _runs(deployment):
        return _over(deployment)
    for target in deployment.targets.select_related("server").filter(status=TargetStatus.SUCCEEDED):
        result = _ask(deployment, target)
        if result is None or not _note(target, result) or result.status != "failed":
            continue
        _over(deployment)
        report_crash(actor=actor, deployment=deployment, server=target.server.name, sentence=result.sentence)
        return "crashed"
    if deployment.bake_until is None or deployment.bake_until <= timezone.now():
        return _over(deployment)
    left = (deployment.bake_until - timezone.now()).total_seconds()
    queueing.enqueue_watch(deployment.pk, after=min(AGAIN_SECONDS, max(1.0, left)))
    return "goes on"


def _over(deployment: Deployment) -> str:
    """Complete the sentence that was stored when the watch began: with what was seen by its end."""
    row = Deployment.objects.get(pk=deployment.pk)
    # compared, since a rollback may write what became of it meanwhile
    Deployment.objects.filter(pk=row.pk, sentence=row.sentence).update(sentence=with_watch(row))
    return "over"


def _runs(deployment: Deployment) -> bool:
    """Whether it is the last success there, and nothing else is going on."""
    rows = Deployment.objects.filter(environment=deployment.environment)
    last = rows.filter(status=Status.SUCCEEDED).order_by("-finished_at", "-id").first()
    return last == deployment and not rows.active().exists()


def _ask(deployment: Deployment, target: Target) -> Result | None:
    """What the server's agent says; None when it cannot be asked: that is no crash, and health is watched elsewhere."""
    fence = run_fence(target)
    if fence is None or target.server.stopped:  # what somebody stopped has not crashed
        return None
    try:
        with open_target(deployment.environment, deployment.sealed.target(target.server.name)) as session:
            result = AgentClient(session, deployment.sealed.application).watch(str(deployment.pk), fence)
    except PortalError as error:
        logger.warning("deployment %s: watching %s: %s", deployment.pk, target.server.name, error)
        return None
    return None if result.status == "none" else result


def _note(target: Target, result: Result) -> bool:
    """Keep what was seen with the target; False when a crash had been noted there already."""
    with transaction.atomic():
        row = Target.objects.select_for_update(of=("self",), no_key=True).get(pk=target.pk)
        if row.facts.get("watch", {}).get("status") == "failed":
            return False
        seen = {"status": result.status, "reason": result.reason, "sentence": result.sentence}
        row.facts = {**row.facts, "watch": {**seen, "at": timezone.now().isoformat()}}
        row.save(update_fields=["facts"])
    return True
