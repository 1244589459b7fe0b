"""What the statuses of all targets mean for the deployment; servers that must go back are reverted here."""

import dataclasses
import logging
from functools import partial

from django.utils import timezone

from deployments.core.actors import Actor, in_words
from deployments.core.retrying import retry
from deployments.execution.claims import Claimed, still_held
from deployments.execution.finish import end_target, finish, seconds_left
from deployments.execution.host_inquiry import ASKED, Unsettled, apply_result, retry_until, run_fence
from deployments.execution.limited_sessions import limited_session
from deployments.execution.recorder import Recorder
from deployments.execution.side_by_side import side_by_side
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import Deployment, Target
from engine.remote import AgentClient

logger = logging.getLogger(__name__)

ROLLBACK_LIMIT_SECONDS = 300
"""What the users allow a rollback, from its claim to its proof."""
ON_REQUEST = "reverted_on_request"
"""The agent's reason for a server that was well and went back because another one failed."""

WATCH_GOES_ON = " So far: the watch goes on."
"""What a success says of its units until `watch` has ended, which completes the sentence."""

FAILED = (TargetStatus.FAILED, TargetStatus.REVERTED)
"""How a server ends that said no: nothing had been changed, or it went back."""

Verdict = tuple[Status, str, str]
"""Status, outcome (a stable word) and sentence."""


def conclude(
    *,
    actor: Actor,
    claimed: Claimed,
    recorder: Recorder,
    timeout: float,
    giving_up: bool = False,
    late: bool = False,
) -> bool:
    """Revert what must go back, then write the deployment's end; True when nothing is left to do for this claim.

    A server that cannot be reverted within `timeout` seconds leaves the deployment as it is (False), unless we are
    `giving_up`: then it is told as it is, and needs a person. `late` completes an interrupted deployment.
    """
    deployment = claimed.deployment
    retry(deployment.refresh_from_db)
    targets = _targets(deployment)
    if _tolerable(deployment, targets):
        status, outcome, sentence = _success(deployment, targets)
    else:
        revert = partial(_reverted, claimed, recorder=recorder, timeout=timeout, giving_up=giving_up)
        for group in _last_first(deployment, targets):
            if not retry(partial(still_held, claimed)):
                return True
            if not all(side_by_side([partial(revert, target) for target in group])):
                return False
        retry(partial(_skip_waiting, claimed))
        status, outcome, sentence = judge(deployment, _targets(deployment))
    recorder.flush()
    end = partial(finish, actor=actor, deployment=deployment, claim=claimed.token, late=late)
    retry(partial(end, status=status, outcome=outcome, sentence=sentence))
    return True


def _tolerable(deployment: Deployment, targets: list[Target]) -> bool:
    """Whether every server runs the release, but for no more failures than are tolerated, none the canary's.

    On a server that failed nothing is changed; one that needs somebody, or was never begun, is another matter.
    """
    sealed = deployment.sealed
    left = [target for target in targets if target.status != TargetStatus.SUCCEEDED]
    if not left:
        return True
    canary = sealed.rounds[0][0].server
    by_themselves = all(target.status in FAILED and target.outcome != ON_REQUEST for target in left)
    return by_themselves and len(left) <= sealed.tolerated and canary not in {target.server.name for target in left}


def _last_first(deployment: Deployment, targets: list[Target]) -> list[list[Target]]:
    """What was activated, in groups as they were worked on, the last one first."""
    activated = {target.server.name: target for target in _with(targets, TargetStatus.SUCCEEDED)}
    groups = [[activated.pop(each.server, None) for each in group] for group in reversed(deployment.sealed.rounds)]
    return [found for group in groups if (found := [target for target in group if target is not None])]


def judge(deployment: Deployment, targets: list[Target]) -> Verdict:
    """What it comes to when at least one target did not succeed."""
    broken = _with(targets, TargetStatus.INTERRUPTED) or _with(targets, TargetStatus.SUCCEEDED)
    if broken:
        worst = broken[0]
        return (
            Status.INTERRUPTED,
            worst.outcome if worst.status == TargetStatus.INTERRUPTED else "not_restored",
            f"{worst.sentence or f'{worst.server.name} was not restored.'} "
            f"Look at {_names(broken)} and then roll back or deploy again: both check the server first.",
        )
    restored = bool(_with(targets, TargetStatus.REVERTED))
    cause = _own_failure(targets)
    if cause is None:
        return _cancelled(deployment, targets, restored)
    outcome, why = cause.outcome or "failed", cause.sentence
    if restored:
        return Status.ROLLED_BACK, outcome, f"{why} {_as_before(targets)}"
    return Status.FAILED, outcome, why


def _own_failure(targets: list[Target]) -> Target | None:
    """The first server that said no by itself: neither cancelled nor put back because of another one."""
    return next((target for target in targets if target.status in FAILED and target.outcome != ON_REQUEST), None)


def _cancelled(deployment: Deployment, targets: list[Target], restored: bool) -> Verdict:
    """Nobody said no: somebody cancelled it, a newer one took over, or the worker ended before it was done."""
    ended = _with(targets, TargetStatus.CANCELLED)
    said = " ".join(target.sentence for target in ended)
    if restored:
        said = f"{said} {_as_before(targets)}".strip()
    said = said or "Nothing had been changed."
    if deployment.cancel_requested_by:
        return Status.CANCELLED, "cancelled", f"Cancelled by {in_words(deployment.cancel_requested_by)}. {said}"
    if ended:
        return Status.CANCELLED, ended[0].outcome or "cancelled", said
    why = f"The worker ended before the deployment did. {said}"
    return (Status.ROLLED_BACK if restored else Status.FAILED), "worker_lost", why


def _success(deployment: Deployment, targets: list[Target]) -> Verdict:
    failed = [target for target in targets if target.status != TargetStatus.SUCCEEDED]
    targets = _with(targets, TargetStatus.SUCCEEDED)
    goes_on = WATCH_GOES_ON if seconds_left(targets) is not None else ""
    sentence = f"{deployment.release} runs on {_names(targets)}, verified. {_looked_at(_first(targets))}{goes_on}"
    if failed:
        why = " ".join(f"{target.server.name}: {target.sentence}" for target in failed)
        sentence += f" Not on {_names(failed)}, which the policy allows: {_left(failed)}. {why}"
    if deployment.kind == Kind.ROLLBACK and deployment.started_at:
        seconds = (timezone.now() - deployment.started_at).total_seconds()
        sentence += f" Back in {seconds:.1f} s of the {ROLLBACK_LIMIT_SECONDS} s allowed."
    for target in targets:
        for loss in target.facts.get("proof", {}).get("rows_lost", []):
            sentence += (
                f" {target.server.name}: {loss['database']} has {loss['after']} rows in {loss['table']} and had "
                f"{loss['before']}; a copy from before is in its backups."
            )
    return Status.SUCCEEDED, "verified", sentence


def _as_before(targets: list[Target]) -> str:
    """What a server that nobody reached runs now, nobody has seen."""
    if unseen := _unseen(targets):
        return f"Every other server runs what it ran before; what {_names(unseen)} runs now was not looked at."
    return "Every server runs what it ran before."


def _left(failed: list[Target]) -> str:
    """What there is on servers that did not take the release, each group by name where they differ."""
    unseen = _unseen(failed)
    empty = [target for target in failed if target not in unseen and target.base_release_id is None]
    kept = [target for target in failed if target not in unseen and target not in empty]
    groups = {
        "what ran there before still does": kept,
        "nothing ran there before": empty,
        "what runs there now was not looked at": unseen,
    }
    said = {words: group for words, group in groups.items() if group}
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{_names(group)}: {words}" for words, group in said.items())


def _unseen(targets: list[Target]) -> list[Target]:
    """Servers whose agent never answered."""
    return [target for target in targets if not target.facts.get(ASKED, True)]


def with_watch(deployment: Deployment) -> str:
    """Its sentence with what was seen by the end of the watch, in place of what it had seen when it was written."""
    targets = _with(_targets(deployment), TargetStatus.SUCCEEDED)
    now = _looked_at({target.server.name: target.looked_at for target in targets})
    return deployment.sentence.replace(f"{_looked_at(_first(targets))}{WATCH_GOES_ON}", now)


def _first(targets: list[Target]) -> dict[str, str]:
    return {target.server.name: target.looked_at_first for target in targets}


def _looked_at(said: dict[str, str]) -> str:
    """What every server says, once where all say the same."""
    if len(set(said.values())) == 1:
        return f"Looked at: {next(iter(said.values()))}."
    return "Looked at: " + ". ".join(f"{name}: {words}" for name, words in said.items()) + "."


def _reverted(claimed: Claimed, target: Target, recorder: Recorder, *, timeout: float, giving_up: bool) -> bool:
    """Have a server that was activated go back; False when it could not be asked and may be asked again."""
    recorder.say(f"Reverting {target.server.name}.", target=target)
    deployment, name = claimed.deployment, target.server.name

    def revert() -> None:
        with limited_session(claimed, target) as session:
            result = AgentClient(session, claimed.sealed.application).revert(
                str(deployment.pk),
                deployment.fence or 0,
                lambda record: recorder.record(target, record),
                run_fence=run_fence(target),
            )
        if result.reason == "host_locked":  # a revert whose line was cut goes on by itself
            raise Unsettled(result.sentence, working=True)
        told = dataclasses.asdict(result)
        if result.status == "failed" and result.reason == "fence_outdated":
            told["status"] = "interrupted"
        apply_result(target, told, recorder, claimed.token)

    try:
        retry_until(revert, timeout=timeout)
    except Unsettled as why:
        logger.warning("deployment %s: reverting %s: %s", deployment.pk, name, why)
        if not why.final and (not giving_up or why.working):
            return False
        end_target(
            target,
            TargetStatus.INTERRUPTED,
            claim=claimed.token,
            outcome=why.final or "host_unreachable",
            facts=target.facts,
            sentence=f"{name} was activated and could not be reverted: {recorder.mask(str(why))}",
        )
    return True


def _skip_waiting(claimed: Claimed) -> None:
    Target.objects.filter(
        deployment=claimed.deployment,
        deployment__claim=claimed.token,
        status__in=(TargetStatus.WAITING, TargetStatus.SKIPPED),
    ).update(status=TargetStatus.SKIPPED)


def _targets(deployment: Deployment) -> list[Target]:
    return retry(partial(list, deployment.targets.select_related("server")))


def _with(targets: list[Target], status: TargetStatus) -> list[Target]:
    return [target for target in targets if target.status == status]


def _names(targets: list[Target]) -> str:
    return ", ".join(target.server.name for target in targets)
