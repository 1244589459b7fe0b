"""Going back: a new deployment of an earlier release, without approval, before everything else."""

from django.db import transaction
from django.db.models import QuerySet

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing, selectors
from deployments.core.actors import Actor, in_words
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.guards import refuse_retired
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.cancellation import cancel
from deployments.requests.requests import record_request
from deployments.requests.rollback_targets import (
    is_way_back,
    left_out,
    refuse_quarantined,
    rollback_snapshot,
    rollback_target,
    why_none,
)
from deployments.requests.waiting_rollbacks import queue_waiting_rollback
from engine.errors import Conflict, EnvironmentBusy, InvalidRequest


def request_rollback(
    *, actor: Actor, environment: Environment, reason: str, to: Release | None = None, drill: bool = False
) -> Deployment:
    """Ask for an earlier release (the one before what runs or is under way, unless `to` names another).

    Only a release that succeeded in this environment under a policy that was met is a way back (`rollback_targets`).
    A running deployment is cancelled first, and the rollback begins when that is proven. A `drill` is marked as one,
    so that no alert counts it. Raises NotAllowed, InvalidRequest (no reason, nothing to go back to, no way back, in
    quarantine), EnvironmentBusy (that rollback is under way).
    """
    require(actor, Verb.ROLL_BACK, environment)
    if not reason.strip():
        raise InvalidRequest("A rollback needs a reason.", hint="Say what is wrong.", reason="no_reason")
    reason = checked(reason)
    with transaction.atomic():
        # one transaction: the deployment that is under way cannot end unnoticed between our look and our request
        environment = locked_environment(environment.pk)
        refuse_retired(environment)
        running = selectors.active_deployment(environment)
        suspect = running or _interrupted(environment)
        release = _release_before(environment, suspect) if to is None else _asked_for(to, drill=drill)
        _refuse_twice(environment, release, running)
        _supersede_waiting(actor, environment)
        deployment = record_request(
            actor=actor,
            environment=environment,
            release=release,
            snapshot=rollback_snapshot(environment=environment, release=release),
            status=Status.AWAITING_APPROVAL if running else Status.QUEUED,
            reason=reason,
            kind=Kind.ROLLBACK,
            rollback_of=suspect or left_out(environment) or _last_success(environment),
            drill=drill,
        )
        if running:
            _wait_for(actor, deployment, running)
        else:
            queueing.enqueue_execution(deployment.pk, rescue=True)
    deployment.refresh_from_db()
    return deployment


def _wait_for(actor: Actor, rollback: Deployment, running: Deployment) -> None:
    Deployment.objects.filter(pk=rollback.pk).update(
        expires_at=None, sentence=f"Waits until deployment {running.pk} is cancelled."
    )
    try:
        cancel(actor=actor, deployment=running)
    except Conflict:  # it ended by itself just now, before anybody could see this rollback wait
        queue_waiting_rollback(running)


def _asked_for(release: Release, *, drill: bool) -> Release:
    if not drill:  # what a drill left has to come back, whatever is found out about it meanwhile
        refuse_quarantined(release)
    return release


def _release_before(environment: Environment, suspect: Deployment | None) -> Release:
    """What a person means by "back": the release that ran before `suspect`, else the one before the live one."""
    live = selectors.live_release(environment)
    if suspect is not None and suspect.kind == Kind.ROLLBACK:
        return suspect.release
    if suspect is not None and live not in (None, suspect.release) and is_way_back(environment, live):
        return live
    release = rollback_target(environment)
    if release is None:
        raise InvalidRequest(
            why_none(environment),
            hint="Back is to a release that succeeded here with consent; deploy a good one instead.",
            reason="no_rollback_target",
        )
    return release


def _refuse_twice(environment: Environment, release: Release, running: Deployment | None) -> None:
    """A second click must not cancel the rollback that the first one began."""
    waiting = _waiting(environment).filter(release=release).first()
    same = waiting or (running if running and running.kind == Kind.ROLLBACK and running.release == release else None)
    if same is not None:
        raise EnvironmentBusy(
            f"{environment} is going back to {release} already: rollback {same.pk} is under way.",
            hint=f"Wait for it, or cancel it with `manage.py cancel {same.pk}`.",
        )


def _supersede_waiting(actor: Actor, environment: Environment) -> None:
    for older in _waiting(environment):
        if Deployment.objects.move(
            older.pk,
            Status.SUPERSEDED,
            source=Status.AWAITING_APPROVAL,
            outcome="superseded",
            sentence=f"{in_words(str(actor))} asked for another rollback before this one could begin.",
        ):
            trail.record(
                actor=actor, name="rollback.superseded", subject=f"deployment:{older.pk}", environment=environment
            )


def _waiting(environment: Environment) -> QuerySet[Deployment]:
    return Deployment.objects.filter(environment=environment, kind=Kind.ROLLBACK, status=Status.AWAITING_APPROVAL)


def _interrupted(environment: Environment) -> Deployment | None:
    """The deployment that began last, if nobody knows for sure what it left."""
    last = Deployment.objects.filter(environment=environment).exclude(fence=None).order_by("-fence").first()
    return last if last is not None and last.status == Status.INTERRUPTED else None


def _last_success(environment: Environment) -> Deployment | None:
    return (
        Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED)
        .order_by("-finished_at", "-id")
        .first()
    )
