"""Ending a deployment: status, audit event, server records and notifications in one transaction."""

import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor
from deployments.core.retrying import retry
from deployments.core.row_locks import locked_environment
from deployments.environments.applications import bind
from deployments.execution import silences
from deployments.lifecycle import Kind, Status, TargetStatus
from deployments.models import Deployment, Release, Server, Target
from deployments.notifications.messages import notify
from deployments.releases import artifacts
from deployments.requests.snapshots import identity_of
from deployments.requests.waiting_rollbacks import queue_waiting_rollback
from engine.artifacts.deploy_toml import DeployToml, Health
from engine.errors import Conflict, PortalError

_RUNS = ["current_release", "previous_release", "config_digest", "unit_files", "facts", "service", "stopped"]
"""What a server's record says of what runs there."""

logger = logging.getLogger(__name__)

_EVENTS = {
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.ROLLED_BACK: "rolled_back",
    Status.INTERRUPTED: "interrupted",
    Status.CANCELLED: "cancelled",
}


def finish(
    *,
    actor: Actor,
    deployment: Deployment,
    status: Status,
    outcome: str,
    sentence: str,
    claim: UUID | None,
    late: bool = False,
) -> bool:
    """Write how it ended. False when it had ended already or another worker holds it: then nothing is written.

    `late` completes an interrupted deployment: its server has told at last what had become of it.
    """
    with transaction.atomic():
        locked_environment(deployment.environment_id)
        source = Status.INTERRUPTED if late else None
        written = {"outcome": outcome[:60], "sentence": sentence, **_moments(deployment, status, late=late)}
        if not Deployment.objects.move(deployment.pk, status, source=source, claim=claim, **written):
            return False
        deployment.refresh_from_db()
        if status == Status.SUCCEEDED:
            _note_what_runs(deployment)
            queueing.enqueue_inspection(deployment.environment_id)
            _watch_on(deployment)
        _record_end(actor, deployment, status, outcome=outcome, sentence=sentence, late=late)
        notify(deployment, _EVENTS[status])
        queue_waiting_rollback(deployment)
        transaction.on_commit(lambda: silences.end(deployment))
    return True


def _record_end(actor: Actor, deployment: Deployment, status: Status, **data: Any) -> None:
    targets = {target.server.name: target.status for target in deployment.targets.select_related("server")}
    trail.record(
        actor=actor,
        name=f"{deployment.kind}.{_EVENTS[status]}",
        subject=f"deployment:{deployment.pk}",
        environment=deployment.environment,
        data={
            "release": deployment.release.identifier,
            "seconds": deployment.seconds,
            "targets": targets,
            **data,
        },
    )


def _moments(deployment: Deployment, status: Status, *, late: bool) -> dict[str, Any]:
    """When it was verified, until when it bakes, when it ended."""
    now = timezone.now()
    moments: dict[str, Any] = {"verified_at": now} if status == Status.SUCCEEDED else {}
    if status == Status.SUCCEEDED and deployment.kind == Kind.DEPLOYMENT:
        moments["bake_until"] = now + timedelta(seconds=deployment.sealed.policy.bake_seconds)
    if late:  # it ended when it was interrupted; only now do we know how
        moments["finished_at"] = deployment.finished_at or now
    return moments


def end_target(
    target: Target, status: TargetStatus, *, claim: UUID, outcome: str = "", sentence: str = "", facts: object = None
) -> None:
    """Write what became of one server, unless another worker holds the deployment by now. Waits for the database."""
    rows = Target.objects.filter(pk=target.pk, deployment__claim=claim)
    written = {"outcome": outcome[:60], "sentence": sentence, "facts": facts or {}, "finished_at": timezone.now()}
    retry(partial(rows.update, status=status, **written))


def _note_what_runs(deployment: Deployment) -> None:
    described = _described(deployment)
    deploy, digests = described or (None, {})
    sealed = deployment.sealed
    rows = deployment.targets.select_related("server__current_release").filter(status=TargetStatus.SUCCEEDED)
    servers = [target.server for target in rows]
    health, identity, bot = None, None, deploy is not None and "bot" in deploy.roles
    if deploy is not None and bot:
        health = deploy.health(artifacts.table_of(deploy, deployment.environment), "bot")
        identity = identity_of(deploy, "bot", sealed.configuration.contents)
    for server in servers:
        facts = dict(server.facts)
        if bot and "bot" in server.roles:
            facts |= {"identity": identity, "health": _address(health)}
            server.service = service_of(health, identity)
        previous = server.current_release
        if previous is not None and previous != deployment.release:
            server.previous_release = previous
        if server.stopped:
            transaction.on_commit(partial(silences.speak_again, server))
        server.current_release, server.config_digest = deployment.release, sealed.configuration.digest
        server.unit_files = _units(deploy, digests, server) if deploy else server.unit_files
        server.facts, server.stopped = facts, None
    Server.objects.bulk_update(servers, _RUNS)
    with suppress(Conflict):  # somebody gave its name to another environment meanwhile: it runs all the same
        bind(deployment.environment, sealed.application)
    bad = deployment.rollback_of if deployment.kind == Kind.ROLLBACK else None
    if bad is not None and bad.release != deployment.release:
        if not deployment.drill:  # a rehearsal says nothing about either
            _quarantine(bad.release, deployment)
        _no_longer_runs(bad, deployment)
    elif deployment.kind == Kind.DEPLOYMENT and deployment.release.quarantined and not deployment.break_glass:
        _lift_quarantine(deployment)


def _address(health: Health | None) -> dict[str, object] | None:
    if health is None:
        return None
    port, _, path = health.url.removeprefix("http://").partition("/")
    return {"port": int(port.rpartition(":")[2]), "path": f"/{path}"}


def service_of(health: Health | None, identity: list[str] | None) -> Server.Service:
    """A bot signs in somewhere, or says whether it is connected; whatever else runs is a service."""
    if identity is not None or (health is not None and health.connected is not None):
        return Server.Service.BOT
    return Server.Service.UNASKED if health is None else Server.Service.ASKED


def _watch_on(deployment: Deployment) -> None:
    """Have the servers asked once their units have had their time."""
    left = seconds_left(list(deployment.targets.all()))
    if left is not None:
        queueing.enqueue_watch(deployment.pk, after=left + 1.0)


def seconds_left(targets: list[Target]) -> float | None:
    """For how long units still have their watch after the verification; None where no agent watches on."""
    left = [target.facts.get("proof", {}).get("baseline", {}).get("left") for target in targets]
    return max((float(seconds) for seconds in left if seconds is not None), default=None)


def _no_longer_runs(deployment: Deployment, rollback: Deployment) -> None:
    """What was taken back is not said to run; of a server that did not go back it is not said that it did."""
    verified, back = _succeeded_on(deployment), _succeeded_on(rollback)
    rest = [name for name in verified if name not in back]
    where = ", ".join(name for name in verified if name in back)
    only = f" on {where}; not on {', '.join(rest)}" if where and rest else ""
    names = ", ".join(verified) or str(deployment.environment)
    Deployment.objects.filter(pk=deployment.pk, status=Status.SUCCEEDED).update(
        sentence=f"{deployment.release} was verified on {names}, and rollback {rollback.pk} has taken it back{only}."
    )


def _succeeded_on(deployment: Deployment) -> list[str]:
    rows = deployment.targets.filter(status=TargetStatus.SUCCEEDED)
    return list(rows.values_list("server__name", flat=True))


def _units(deploy: DeployToml, digests: dict[str, str], server: Server) -> dict[str, str]:
    """The unit files that came with the release to this server, by sha256."""
    roles = [described for role, described in deploy.roles.items() if role in server.roles]
    return {path.rpartition("/")[2]: digests[path] for described in roles for path in described.units}


def _described(deployment: Deployment) -> tuple[DeployToml, dict[str, str]] | None:
    """What the release says about itself, and its files by sha256; None when its artifact is gone: it runs anyway."""
    try:
        with artifacts.open_release(deployment.release) as reader:
            return reader.deploy, {entry.path: entry.sha256 for entry in reader.manifest.files}
    except (PortalError, OSError) as error:
        logger.warning("deployment %s: its artifact cannot be read: %s", deployment.pk, error)
        return None


def _lift_quarantine(deployment: Deployment) -> None:
    """It was deployed again where it had been taken back, with a reason, and is good; but no other place says so."""
    ended = Deployment.objects.filter(status=Status.SUCCEEDED)
    again = ended.filter(kind=Kind.DEPLOYMENT, release=deployment.release, environment=OuterRef("environment"))
    back = ended.filter(kind=Kind.ROLLBACK, drill=False, rollback_of__release=deployment.release)
    elsewhere = back.exclude(environment=deployment.environment).filter(environment__retired_at=None)
    if not elsewhere.exclude(Exists(again.filter(finished_at__gt=OuterRef("finished_at")))).exists():
        Release.objects.filter(pk=deployment.release_id).update(
            quarantined_at=None, quarantined_by="", quarantine_reason=""
        )
        deployment.release.refresh_from_db()


def _quarantine(release: Release, rollback: Deployment) -> None:
    if release.quarantined:
        return
    Release.objects.filter(pk=release.pk, quarantined_at=None).update(
        quarantined_at=timezone.now(), quarantined_by=rollback.requested_by, quarantine_reason=rollback.reason[:500]
    )
