"""What the statuses of all targets mean for the deployment; servers that must go back are reverted here."""

import logging
from uuid import UUID

from deployments.errors import PortalError
from deployments.lifecycle import Status, TargetStatus
from deployments.models import Deployment, Target
from deployments.services.access import Actor
from deployments.services.connections import agent, open_target
from deployments.services.endings import end_target, finish
from deployments.services.recorder import Recorder
from deployments.services.settling import STATUSES, target_snapshot

logger = logging.getLogger(__name__)


def conclude(*, actor: Actor, deployment: Deployment, recorder: Recorder, token: UUID) -> None:
    """Revert what must go back, then write the deployment's end."""
    targets = list(deployment.targets.select_related("server"))
    if all(target.status == TargetStatus.SUCCEEDED for target in targets):
        seconds = ""
        sentence = f"{deployment.release} runs on {_names(targets)}{seconds}, verified."
        finish(
            actor=actor,
            deployment=deployment,
            status=Status.SUCCEEDED,
            outcome="verified",
            sentence=sentence,
            claim=token,
        )
        return
    for target in reversed([target for target in targets if target.status == TargetStatus.SUCCEEDED]):
        _revert(deployment, target, recorder)
    Target.objects.filter(deployment=deployment, status=TargetStatus.WAITING).update(status=TargetStatus.SKIPPED)
    targets = list(deployment.targets.select_related("server"))
    status, outcome, sentence = verdict(deployment, targets)
    finish(actor=actor, deployment=deployment, status=status, outcome=outcome, sentence=sentence, claim=token)


def verdict(deployment: Deployment, targets: list[Target]) -> tuple[Status, str, str]:
    """Status, outcome and sentence for targets of which at least one did not succeed."""
    by_status: dict[str, list[Target]] = {}
    for target in targets:
        by_status.setdefault(target.status, []).append(target)
    broken = by_status.get(TargetStatus.INTERRUPTED, []) + by_status.get(TargetStatus.SUCCEEDED, [])
    first = next(
        (
            target
            for target in targets
            if target.status in {TargetStatus.FAILED, TargetStatus.REVERTED, TargetStatus.CANCELLED} and target.sentence
        ),
        None,
    )
    if broken:
        worst = broken[0]
        return (
            Status.INTERRUPTED,
            worst.outcome or "not_restored",
            f"{worst.sentence or f'{worst.server.name} was not restored.'} "
            f"Look at {_names(broken)} and then roll back or deploy again: both check the server first.",
        )
    cancelled = by_status.get(TargetStatus.CANCELLED, [])
    if cancelled or deployment.cancel_requested_by:
        by = deployment.cancel_requested_by or "a person on the server"
        said = cancelled[0].sentence if cancelled else "Nothing had been changed."
        return Status.CANCELLED, "cancelled", f"Cancelled by {by}. {said}"
    reverted = by_status.get(TargetStatus.REVERTED, [])
    why = first.sentence if first else "The worker ended before the deployment did."
    outcome = first.outcome if first and first.outcome else "worker_lost"
    if reverted:
        return Status.ROLLED_BACK, outcome, f"{why} Every server runs what it ran before."
    return Status.FAILED, outcome, why


def _revert(deployment: Deployment, target: Target, recorder: Recorder) -> None:
    recorder.say(f"Reverting {target.server.name}.", target=target)
    try:
        with open_target(deployment.environment, target_snapshot(deployment, target)) as session:
            result = agent(session, deployment.snapshot["application"]).revert(
                str(deployment.pk), deployment.fence or 0, lambda record: recorder.record(target, record)
            )
    except PortalError as error:
        logger.warning("deployment %s: reverting %s failed: %s", deployment.pk, target.server.name, error)
        end_target(
            target,
            TargetStatus.INTERRUPTED,
            outcome="not_reverted",
            sentence=f"{target.server.name} was activated and could not be reverted: {recorder.mask(str(error))}",
        )
        return
    end_target(
        target,
        STATUSES.get(result.status, TargetStatus.INTERRUPTED),
        outcome=result.reason,
        sentence=recorder.mask(result.sentence),
        facts=result.facts,
    )


def _names(targets: list[Target]) -> str:
    return ", ".join(target.server.name for target in targets)
