"""Asking for an operation: who may, what is in the way, and the record of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor, in_words
from deployments.core.processes import silence
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.guards import refuse_busy
from deployments.environments.machines import refuse_work_beside
from deployments.models import Operation, Server
from deployments.releases import artifacts
from deployments.releases.role_plans import role_units
from engine.errors import Conflict, InvalidRequest, NotFound


def operate(
    *,
    actor: Actor,
    server: Server,
    kind: Operation.Kind,
    units: Sequence[str] = (),
    reason: str = "",
    queued: bool = True,
) -> Operation:
    """Ask for a restart, stop or start of a server's units, all without `units`; stopping needs a reason.

    `queued` hands it to a worker; else the caller carries it out. Raises NotAllowed, InvalidRequest, NotFound for a
    unit that is none of the release's, EnvironmentBusy while a deployment is active, Conflict while another operation
    is, or where nothing runs.
    """
    require(actor, Verb.OPERATE, server.environment)
    reason = checked(reason)
    if kind == Operation.Kind.STOP and not reason:
        raise InvalidRequest("Stopping a service needs a reason.", hint="Say why.", reason="no_reason")
    check_units(server, units)
    return ask(actor=actor, server=server, kind=kind, request={"units": list(units)}, reason=reason, queued=queued)


def ask(
    *,
    actor: Actor,
    server: Server,
    kind: Operation.Kind,
    request: Mapping[str, Any],
    reason: str = "",
    queued: bool = True,
) -> Operation:
    """Write the row, its event and its task; the caller has decided that the actor may."""
    with transaction.atomic():
        locked_environment(server.environment_id)
        if kind != Operation.Kind.PROVISION:
            refuse_idle(server)
        refuse_busy(server.environment)
        if kind == Operation.Kind.PROVISION:
            refuse_work_beside(server)
        if active := Operation.objects.filter(server=server, state__in=Operation.ACTIVE).first():
            raise Conflict(
                f"{active} is under way, asked for by {in_words(active.requested_by)}.",
                hint=silence(active) or "Ask again when it has ended.",
                reason="operation_active",
            )
        row = Operation.objects.create(
            server=server, kind=kind, request=dict(request), reason=reason, requested_by=str(actor)
        )
        trail.record(
            actor=actor,
            name=f"service.{kind.value}_requested",
            subject=f"server:{server.name}",
            environment=server.environment,
            data={"operation": row.pk, "reason": reason, **request},
        )
        if queued:
            queueing.enqueue_operation(row.pk, seconds=request.get("seconds", 0))
    return row


def refuse_idle(server: Server) -> None:
    """Raise Conflict unless a release runs there."""
    if server.state != Server.State.PROVISIONED or server.current_release is None:
        raise Conflict(f"Nothing has been deployed to {server} yet.", hint="Deploy first.", reason="nothing_runs")


def units_of(server: Server, roles: Sequence[str] | None = None) -> list[str]:
    """The units of the release that the record says runs there, in the order of its roles, or of these roles."""
    refuse_idle(server)
    assert server.current_release is not None  # noqa: S101  (refuse_idle)
    with artifacts.open_release(server.current_release) as reader:
        return role_units(reader.deploy, server.roles if roles is None else roles)


def check_units(server: Server, units: Sequence[str]) -> None:
    """Raise NotFound for a unit that is none of the release's that runs there."""
    known = units_of(server) if units else []
    for unit in units:
        if unit not in known:
            raise NotFound(
                f"{unit!r} is no unit of {server.current_release} on {server}.",
                hint=f"Choose from: {', '.join(known)}.",
                reason="unknown_unit",
            )
