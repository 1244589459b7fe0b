"""Environments and servers, to read."""

from typing import Any

from django.http import HttpRequest
from ninja import Path, Router

from deployments.access.policy import require
from deployments.api.schemas import EnvironmentOut, ServerOut
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.http.auth import BearerToken, reader
from deployments.http.limits import READS
from deployments.http.paging import Name
from deployments.http.problems import answers
from deployments.models import Environment, Server
from deployments.requests.rollback_targets import rollback_target

router = Router(tags=["Servers"], auth=BearerToken())


@router.get("/environments", response=answers({200: list[EnvironmentOut]}), throttle=READS, summary="List environments")
def list_environments(request: HttpRequest) -> list[EnvironmentOut]:
    """Each with what runs there and what is going on."""
    actor = reader(request)
    rows = Environment.objects.all()
    if actor.environment_id:
        rows = rows.filter(pk=actor.environment_id)
    return [_environment(row) for row in rows]


@router.get("/servers", response=answers({200: list[ServerOut]}), throttle=READS, summary="List servers")
def list_servers(request: HttpRequest) -> list[ServerOut]:
    """Every server that is not retired."""
    return [ServerOut.of(row) for row in _servers(reader(request)).exclude(state=Server.State.RETIRED)]


@router.get("/servers/{name}", response=answers({200: ServerOut}, 404), throttle=READS, summary="Read a server")
def read_server(request: HttpRequest, name: Path[Name]) -> ServerOut:
    """One server, also a retired one."""
    actor = reader(request)
    row = selectors.server_named(name)
    require(actor, "view", row.environment)
    return ServerOut.of(row)


def _servers(actor: Actor) -> Any:
    rows = Server.objects.select_related("environment", "current_release", "previous_release")
    return rows.filter(environment_id=actor.environment_id) if actor.environment_id else rows


def _environment(row: Environment) -> EnvironmentOut:
    live, target, active = (
        selectors.live_release(row),
        rollback_target(row),
        selectors.active_deployment(row),
    )
    return EnvironmentOut(
        name=row.name,
        application=row.application,
        approvals_required=row.approvals_required,
        locked=row.locked,
        lock_reason=row.lock_reason,
        live_release=live.identifier if live else None,
        rollback_target=target.identifier if target else None,
        active_deployment=active.pk if active else None,
    )
