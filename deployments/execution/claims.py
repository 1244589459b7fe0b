"""Winning a deployment: QUEUED → RUNNING by compare-and-set, with the environment's next fence."""

import logging
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from deployments.audit import trail
from deployments.core import portal_keys, queueing, read_only
from deployments.core.actors import Actor, in_words, system_actor
from deployments.core.processes import silence
from deployments.core.row_locks import locked_environment
from deployments.environments.machines import neighbours
from deployments.execution.recorder import LEASE
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, LogLine, Operation, Server
from deployments.models.deployments import DeploymentQuerySet
from deployments.notifications.messages import notify
from deployments.releases.artifacts import ArtifactElsewhere
from deployments.requests.requests import withdraw_orphan
from deployments.requests.seals import broken_seal, lacking_now, withdraw_broken
from deployments.snapshot import Snapshot
from engine.errors import PortalError

logger = logging.getLogger(__name__)

LOOKED_FOR, LEFT_SECONDS = timedelta(minutes=5), 1.0
"""How long a deployment is left for a worker that has its artifact and keys, and the pause until the next one looks."""


@dataclass(frozen=True)
class Claimed:
    """A deployment in the hands of one worker: it writes what becomes of it only as long as the row has its token."""

    deployment: Deployment
    token: UUID

    @cached_property
    def sealed(self) -> Snapshot:
        """What it uses, as it was checked. Raises InvalidRequest when that cannot be read."""
        return self.deployment.sealed


def worker_name() -> str:
    """This process, for the record."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(deployment_id: int) -> Claimed | None:
    """Claim a queued deployment; None when it is not queued any more (normal: delivery is at least once).

    A request whose sealed inputs changed since its approval, or that nobody who may stands behind any more, ends here
    and is not run. While one of its servers is provisioned it stays queued: the provisioning's end calls again, and
    the reaper. A portal that has moved claims nothing.
    """
    if read_only.read_only_reason() or _lacks_a_key(deployment_id):
        return None
    deployment = Deployment.objects.select_related("environment", "release").filter(pk=deployment_id).first()
    actor = system_actor("worker")
    if deployment is None or not _covered(deployment, actor):
        return None
    token = uuid.uuid4()
    with transaction.atomic():
        deployment.environment = locked_environment(deployment.environment_id)
        if why := lacking_now(deployment):  # a lock, or somebody's role, that came while the seal was looked at
            withdraw_broken(deployment, [why], actor=actor)
            return None
        if beside := provisioning_beside(deployment):
            _say(deployment, _waits_for(beside, deployment))
            return None
        if not _begun(deployment, token, actor):
            transaction.set_rollback(True)
            return None
    return Claimed(_as_checked(deployment), token)


def _begun(deployment: Deployment, token: UUID, actor: Actor) -> bool:
    """Write that it runs, with the next fence; False when somebody was faster, and the caller undoes it."""
    now, fence = timezone.now(), _next_fence(deployment)
    won = Deployment.objects.move(
        deployment.pk,
        Status.RUNNING,
        source=Status.QUEUED,
        claim=None,
        started_at=now,
        lease_until=now + LEASE,
        worker=worker_name(),
        fence=fence,
    )
    if won:
        Deployment.objects.filter(pk=deployment.pk).update(claim=token)
        trail.record(
            actor=actor,
            name="deployment.started",
            subject=f"deployment:{deployment.pk}",
            environment=deployment.environment,
            data={"fence": fence, "worker": worker_name(), "seal": deployment.seal},
        )
        notify(deployment, "started")
    return won


def provisioning_beside(deployment: Deployment) -> Operation | None:
    """A provisioning of one of its machines that is being carried out, by whatever record: no lock of the server's
    keeps both apart."""
    servers = list(Server.objects.filter(pk__in=deployment.targets.values("server")))
    there = {server.pk for server in servers} | {row.pk for rows in neighbours(servers) for row in rows}
    rows = Operation.objects.filter(kind=Operation.Kind.PROVISION, state=Operation.State.RUNNING)
    return rows.filter(server__in=there).select_related("server").first()


def _waits_for(beside: Operation, deployment: Deployment) -> str:
    own = deployment.targets.filter(server=beside.server_id).exists()
    where = "" if own else f" {beside.server.name} is the same machine as one of its servers."
    by = in_words(beside.requested_by)
    return f"It waits for the end of {beside}, which {by} asked for.{where} {silence(beside)}".rstrip()


def _say(deployment: Deployment, text: str) -> None:
    """Into its log, unless that was the last that it said."""
    if deployment.log_lines.values_list("text", flat=True).last() != text:
        LogLine.objects.create(deployment=deployment, text=text)


def _as_checked(deployment: Deployment) -> Deployment:
    """The row as it is now, with what was checked: that is run, whatever was written into the tables meanwhile."""
    won = Deployment.objects.select_related("environment", "release").get(pk=deployment.pk)
    won.snapshot, won.seal, won.kind = deployment.snapshot, deployment.seal, deployment.kind
    won.release = deployment.release
    return won


def _covered(deployment: Deployment, actor: Actor) -> bool:
    """Whether it is queued, and its seal and its people still stand; what they no longer cover is withdrawn."""
    if deployment.status != Status.QUEUED or withdraw_orphan(deployment, actor=actor):
        return False
    try:
        changes = broken_seal(deployment)
    except ArtifactElsewhere as error:
        if _left(deployment.pk, error):
            return False
        changes = [f"For {LOOKED_FOR.seconds // 60} minutes no worker that took it had what it needs. {error.message}"]
    if changes:
        withdraw_broken(deployment, changes, actor=actor)
        return False
    return True


def _lacks_a_key(deployment_id: int) -> bool:
    """Whether secrets may need a key that came after this process began, and another worker was left to it."""
    try:
        portal_keys.require_same()
    except portal_keys.OtherKeys as error:
        return _left(deployment_id, error)
    return False


def _left(deployment_id: int, error: PortalError) -> bool:
    """Leave it to a worker that has what this one lacks, unless it was left for long enough."""
    rows = Deployment.objects.filter(pk=deployment_id, queued_at__gte=timezone.now() - LOOKED_FOR)
    if (kind := rows.values_list("kind", flat=True).first()) is None:
        return False
    logger.warning("deployment %s is left to another worker: %s", deployment_id, error)
    queueing.enqueue_execution(deployment_id, rescue=kind == Kind.ROLLBACK, after=LEFT_SECONDS)
    return True


def take_over(deployment: Deployment, *, now: datetime | None = None) -> Claimed | None:
    """Take an executing deployment whose lease has run out; None when its worker is alive or somebody was faster.

    It gets a new fence: whatever the old worker still has under way can be outdated on the servers.
    """
    now = now or timezone.now()
    rows = Deployment.objects.executing().filter(pk=deployment.pk, claim=deployment.claim, lease_until__lte=now)
    return _take(deployment, rows, lease_until=now + LEASE)


def take_up(deployment: Deployment) -> Claimed | None:
    """Take an interrupted deployment, to complete its record; None when somebody was faster."""
    rows = Deployment.objects.filter(pk=deployment.pk, claim=deployment.claim, status=Status.INTERRUPTED)
    return _take(deployment, rows)


def raise_fence(claimed: Claimed) -> int | None:
    """The environment's next fence for this deployment; None when somebody else holds it now."""
    with transaction.atomic():
        fence = _next_fence(claimed.deployment)
        if not _row(claimed).update(fence=fence):
            transaction.set_rollback(True)
            return None
    claimed.deployment.fence = fence
    return fence


def still_held(claimed: Claimed) -> bool:
    """Whether nobody else has taken it: asked before every act that somebody else's token would forbid."""
    return _row(claimed).exists()


def hand_over(claimed: Claimed) -> None:
    """Let the lease run out now, so that the reaper goes on; without a database it runs out by itself."""
    try:
        _row(claimed).executing().update(lease_until=timezone.now())
    except DatabaseError as error:
        logger.warning("deployment %s: its lease runs out by itself: %s", claimed.deployment.pk, error)


def _row(claimed: Claimed) -> DeploymentQuerySet:
    return Deployment.objects.filter(pk=claimed.deployment.pk, claim=claimed.token)


def _take(deployment: Deployment, rows: DeploymentQuerySet, **changes: object) -> Claimed | None:
    if read_only.read_only_reason():
        return None
    token = uuid.uuid4()
    with transaction.atomic():
        fence = _next_fence(deployment)
        if rows.update(claim=token, worker=worker_name(), fence=fence, **changes) != 1:
            transaction.set_rollback(True)
            return None
    deployment.refresh_from_db()
    return Claimed(deployment, token)


def _next_fence(deployment: Deployment) -> int:
    """Runs in the caller's transaction."""
    Environment.objects.filter(pk=deployment.environment_id).update(fence=F("fence") + 1)
    return Environment.objects.values_list("fence", flat=True).get(pk=deployment.environment_id)
