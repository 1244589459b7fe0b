"""Servers, to read."""

from typing import Any

from django.http import HttpRequest
from ninja import Path, Router

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.api.schemas import ServerOut
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.http.auth import BearerToken, reader
from deployments.http.limits import READS
from deployments.http.paging import Name
from deployments.http.problems import answers
from deployments.models import Server

router = Router(tags=["Servers"], auth=BearerToken())
_TOLD = (
    "name", "roles", "state", "readiness", "drift", "inspected_at", "environment__name", "environment__application",
    "environment__shared_name", "current_release__identifier", "previous_release__identifier",
)  # fmt: skip


@router.get("/servers", response=answers({200: list[ServerOut]}), throttle=READS, summary="List servers")
def list_servers(request: HttpRequest) -> list[ServerOut]:
    """Every server that is not retired."""
    return [ServerOut.of(row) for row in _servers(reader(request)).exclude(state=Server.State.RETIRED)]


@router.get("/servers/{name}", response=answers({200: ServerOut}, 404), throttle=READS, summary="Read a server")
def read_server(request: HttpRequest, name: Path[Name]) -> ServerOut:
    """One server, also a retired one."""
    actor = reader(request)
    row = selectors.server_named(name)
    require(actor, Verb.VIEW, row.environment)
    return ServerOut.of(row)


def _servers(actor: Actor) -> Any:
    rows = Server.objects.select_related("environment", "current_release", "previous_release").only(*_TOLD)
    return rows.filter(environment_id=actor.environment_id) if actor.environment_id else rows
