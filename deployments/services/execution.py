"""Carrying a sealed deployment out, server after server, and concluding it truthfully."""

import logging
from collections.abc import Sequence

from django.utils import timezone

from deployments.errors import PortalError
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.plans.artifact import ArtifactReader
from deployments.services import artifacts
from deployments.services.access import system_actor
from deployments.services.claims import claim, hand_over
from deployments.services.conclusions import conclude
from deployments.services.connections import agent, open_target
from deployments.services.endings import end_target
from deployments.services.host_plans import host_plan
from deployments.services.recorder import Recorder
from deployments.services.settling import apply_result, settle_target, target_snapshot
from deployments.ssh.errors import LinkLost, RemoteDeadline

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
"""How long a worker keeps asking a server whose line was cut before the reaper takes over."""


def execute(deployment_id: int) -> Status | None:
    """Claim a queued deployment and run it to its end; None when there was nothing to claim.

    Whatever happens on the way ends in a true status, or with the lease let go so that the reaper settles it.
    """
    deployment = claim(deployment_id)
    if deployment is None:
        return None
    token = deployment.claim
    assert token is not None  # noqa: S101  (claim sets it; this is for the type checker)
    settled = False
    try:
        with Recorder(deployment, token) as recorder:
            settled = _run_targets(deployment, recorder)
            if settled:
                conclude(actor=system_actor("worker"), deployment=deployment, recorder=recorder, token=token)
    except Exception:
        logger.exception("deployment %s: the worker failed, the reaper will settle it", deployment_id)
        settled = False
    if not settled:
        hand_over(deployment, token)
    deployment.refresh_from_db()
    return Status(deployment.status)


def _run_targets(deployment: Deployment, recorder: Recorder) -> bool:
    """Run target after target until one does not succeed. False when a server's state could not be learnt."""
    with artifacts.open_release(deployment.release) as reader:
        for target in deployment.targets.select_related("server", "base_release"):
            if recorder.lost.is_set():
                return False
            if _cancel_wanted(deployment):
                break
            Target.objects.filter(pk=target.pk).update(status=TargetStatus.RUNNING, started_at=timezone.now())
            if not _run_target(deployment, target, reader, recorder):
                return False
            target.refresh_from_db()
            if target.status != TargetStatus.SUCCEEDED:
                break
    return True


def _run_target(deployment: Deployment, target: Target, reader: ArtifactReader, recorder: Recorder) -> bool:
    sealed = target_snapshot(deployment, target)
    recorder.say(f"Connecting to {target.server.name}.", target=target)
    try:
        plan = host_plan(deployment, sealed, reader, pins_for(target))
        for _ in reader.tar_of([entry.path for entry in plan.missing()]):
            pass  # read and hashed before a server hears of it: a corrupt artifact is refused here
        with open_target(deployment.environment, sealed) as session:
            result = agent(session, deployment.snapshot["application"]).run(
                plan, reader, lambda record: recorder.record(target, record)
            )
    except (LinkLost, RemoteDeadline) as error:
        recorder.say(f"{error} Asking {target.server.name} what is true.", target=target)
        return settle_target(deployment, target, recorder.record, patience=PATIENCE_SECONDS)
    except PortalError as error:
        end_target(target, TargetStatus.FAILED, outcome=error.reason, sentence=recorder.mask(str(error)))
        return True
    apply_result(
        target,
        {
            "status": result.status,
            "reason": result.reason,
            "sentence": recorder.mask(result.sentence),
            "facts": result.facts,
        },
    )
    return True


def pins_for(target: Target) -> Sequence[str]:
    """Releases that pruning on this server must keep: what runs now, and what a rollback would need."""
    server = target.server
    return [release.identifier for release in (server.current_release, server.previous_release) if release is not None]


def _cancel_wanted(deployment: Deployment) -> bool:
    return bool(Deployment.objects.filter(pk=deployment.pk).exclude(cancel_requested_by="").count())
