"""Asking for a deployment: the snapshot is taken and sealed here, and nowhere else is decided what would run."""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.access.policy import require, require_role, still_may
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor, identity_in, in_words
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.guards import refuse_busy, refuse_locked, refuse_retired
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.notifications.messages import notify
from deployments.requests.snapshots import take_snapshot
from deployments.requests.targets import write_targets
from deployments.requests.waiting_rollbacks import queue_waiting_rollback
from deployments.snapshot import Snapshot
from engine.errors import InvalidRequest, NotApproved


def request_deployment(
    *, actor: Actor, release: Release, environment: Environment, reason: str = "", break_glass: bool = False
) -> Deployment:
    """Ask for `release` on `environment`.

    It waits for approval where the environment asks for one, else it is queued at once. A newer request supersedes a
    waiting one. `break_glass` skips the approval, needs a reason and stays marked until somebody else reviewed it.
    Raises NotAllowed, InvalidRequest, EnvironmentBusy.
    """
    verb = Verb.BREAK_GLASS if break_glass else Verb.REQUEST
    require(actor, verb, environment)
    reason = checked(reason)
    with transaction.atomic():
        # the lock keeps policy and configuration as they are until the request is written
        environment = locked_environment(environment.pk)
        require_role(actor, verb, environment)
        refuse_retired(environment)
        refuse_locked(environment)
        _refuse(environment, release, reason, break_glass)
        waits = environment.protected and not break_glass
        deployment = record_request(
            actor=actor,
            environment=environment,
            release=release,
            snapshot=take_snapshot(environment=environment, release=release),
            status=Status.AWAITING_APPROVAL if waits else Status.QUEUED,
            reason=reason,
            break_glass=break_glass,
        )
        if waits:
            _supersede_older(actor, deployment)
            notify(deployment, "approval_wanted")
        else:
            queueing.enqueue_execution(deployment.pk, rescue=False)
        if break_glass:
            notify(deployment, "break_glass")
    return deployment


def record_request(
    *,
    actor: Actor,
    environment: Environment,
    release: Release,
    snapshot: Snapshot,
    status: Status,
    reason: str,
    kind: Kind = Kind.DEPLOYMENT,
    rollback_of: Deployment | None = None,
    break_glass: bool = False,
    drill: bool = False,
) -> Deployment:
    """Write the deployment, its targets and its audit event; runs in the caller's transaction.

    Raises EnvironmentBusy when it should be queued while another one is active.
    """
    document, seal = snapshot.with_seal()
    deployment = _written(
        environment,
        status,
        release=release,
        kind=kind,
        rollback_of=rollback_of,
        requested_by=str(actor),
        reason=reason,
        break_glass=break_glass,
        drill=drill,
        snapshot=document,
        seal=seal,
    )
    _record(actor, deployment, write_targets(deployment, snapshot))
    return deployment


def _record(actor: Actor, deployment: Deployment, servers: list[str]) -> None:
    trail.record(
        actor=actor,
        name="deployment.break_glass" if deployment.break_glass else f"{deployment.kind}.requested",
        subject=f"deployment:{deployment.pk}",
        environment=deployment.environment,
        data={
            "release": deployment.release.identifier,
            "reason": deployment.reason,
            "seal": deployment.seal,
            "status": deployment.status,
            "targets": servers,
            "rollback_of": deployment.rollback_of_id,
        },
    )


def _written(environment: Environment, status: Status, **fields: Any) -> Deployment:
    """The row, once nothing else is active; a race for that is lost with the same sentence."""
    now = timezone.now()
    if status == Status.QUEUED:
        refuse_busy(environment)
        fields["queued_at"] = now
    elif status == Status.AWAITING_APPROVAL:
        fields["expires_at"] = now + timedelta(hours=environment.approval_hours)
    try:
        with transaction.atomic():
            return Deployment.objects.create(environment=environment, status=status, requested_at=now, **fields)
    except IntegrityError:
        refuse_busy(environment)
        raise


def withdraw_orphan(deployment: Deployment, *, actor: Actor) -> NotApproved | None:
    """End a request whose requester may not ask for it any more, and give the error; None while they may."""
    asked = deployment.requested_by
    verb = Verb.ROLL_BACK if deployment.kind == Kind.ROLLBACK else Verb.REQUEST
    if still_may(asked, verb, deployment.environment):
        return None
    error = NotApproved(
        f"Nobody stands behind it: {asked}, who asked for it, may not ask for it any more.",
        hint="Somebody who may can ask for it again.",
        reason="nobody_behind_it",
    )
    withdraw(actor, deployment, error, "withdrawn", {"requested_by": asked})
    return error


def withdraw_orphans(*, actor: Actor, person: str) -> None:
    """End what this person asked for and may not ask for any more, before it begins."""
    undecided = Deployment.objects.filter(status__in=(Status.AWAITING_APPROVAL, Status.QUEUED))
    for row in undecided.filter(requested_by__startswith=person).select_related("environment", "release"):
        if identity_in(row.requested_by) == person:
            withdraw_orphan(row, actor=actor)


def withdraw(actor: Actor, deployment: Deployment, error: NotApproved, event: str, data: dict[str, object]) -> None:
    """End a request that can no longer run, with the sentence of `error`; recorded as `KIND.event`, and told."""
    with transaction.atomic():
        locked_environment(deployment.environment_id)
        if Deployment.objects.move(deployment.pk, Status.SUPERSEDED, outcome=error.reason, sentence=str(error)):
            trail.record(
                actor=actor,
                name=f"{deployment.kind}.{event}",
                subject=f"deployment:{deployment.pk}",
                environment=deployment.environment,
                data={**data, "seal": deployment.seal},
            )
            deployment.refresh_from_db()
            notify(deployment, "withdrawn")
            queue_waiting_rollback(deployment)


def _refuse(environment: Environment, release: Release, reason: str, break_glass: bool) -> None:
    if release.quarantined and not reason.strip():
        raise InvalidRequest(
            f"{release} is in quarantine ({release.quarantine_reason}).",
            hint="Say why it should be deployed again.",
            reason="quarantined",
        )
    if break_glass and not environment.protected:
        raise InvalidRequest(
            f"{environment} needs no approval, so there is nothing to break.",
            hint="Request the deployment without break-glass.",
            reason="not_protected",
        )
    if break_glass and environment.signed_approvals:
        raise InvalidRequest(
            f"{environment} takes signed approvals only, and break-glass has none.",
            hint="Ask for an approval; a rollback needs none.",
            reason="signature_needed",
        )
    if break_glass and not reason.strip():
        raise InvalidRequest(
            "Break-glass needs a reason.", hint="Say what cannot wait for an approval.", reason="no_reason"
        )


def _supersede_older(actor: Actor, newer: Deployment) -> None:
    waiting = Deployment.objects.filter(
        environment=newer.environment, status=Status.AWAITING_APPROVAL, kind=Kind.DEPLOYMENT
    ).exclude(pk=newer.pk)
    for older in waiting.select_related("environment", "release"):
        sentence = (
            f"Deployment {newer.pk} of {newer.release}, requested by {in_words(newer.requested_by)}, took its place."
        )
        if Deployment.objects.move(
            older.pk, Status.SUPERSEDED, outcome="superseded", sentence=sentence, superseded_by=newer
        ):
            trail.record(
                actor=actor,
                name="deployment.superseded",
                subject=f"deployment:{older.pk}",
                environment=newer.environment,
                data={"by": newer.pk},
            )
            older.refresh_from_db()
            notify(older, "withdrawn")
