"""How the services of an environment stand now, as their servers say."""

from dataclasses import dataclass, field
from typing import Any

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.core.masking import Mask
from deployments.core.sessions import open_session
from deployments.http.server_slots import server_slot
from deployments.models import Environment, Server
from deployments.releases.role_plans import roles_on
from engine.errors import PortalError
from engine.remote import AgentClient

_RUNS = ("active", "activating", "reloading")


@dataclass(frozen=True)
class UnitStatus:
    """One unit as systemd shows it; `problem` is empty where it is as it should be."""

    unit: str
    active: str
    detail: str
    restarts: int
    problem: str


@dataclass(frozen=True)
class Standing:
    """One server. `well` is None when it could not be asked, and then `sentence` says why."""

    server: str
    well: bool | None
    sentence: str
    release: str = ""
    units: list[UnitStatus] = field(default_factory=list)
    health: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool | None:
        """Whether every unit does; None where nobody could ask."""
        return None if self.well is None else all(unit.active in _RUNS for unit in self.units)


def status_of(*, actor: Actor, environment: Environment, server: Server | None = None) -> list[Standing]:
    """Ask every server on which something was deployed, or one; changes nothing."""
    require(actor, Verb.VERIFY, environment)
    rows = environment.servers.filter(state=Server.State.PROVISIONED, current_release__isnull=False)
    rows = rows.select_related("environment", "current_release")
    with server_slot():
        return [_ask(row) for row in rows if server is None or row.pk == server.pk]


def _ask(server: Server) -> Standing:
    release = server.current_release
    assert release is not None  # noqa: S101  (status_of selects by it)
    try:
        with open_session(server) as session:
            facts = AgentClient(session, release.name).inspect(roles=roles_on(server, release))
    except PortalError as error:
        return Standing(server.name, None, str(error), release.identifier)
    return standing(server, Mask.for_environment(server.environment_id).facts(facts))


def standing(server: Server, facts: dict[str, Any]) -> Standing:
    """What the facts of an inspection come to."""
    units = [
        UnitStatus(str(u["unit"]), str(u["active"]), str(u["sub"]), int(u["restarts"]), str(u["problem"]))
        for u in facts["units"]
    ]
    health = {str(role): _said(seen) for role, seen in facts["health"].items()}
    troubled = [unit.problem for unit in units if unit.problem and unit.unit not in server.stopped_units]
    healthy = server.stopped or all(seen.get("status") == 200 for seen in facts["health"].values())
    current = str(facts["current"] or "nothing")
    sentence = " ".join([f"{current} is live.", *troubled, server.stopped_words]).strip()
    return Standing(server.name, not troubled and bool(healthy), sentence, current, units, health)


def _said(seen: dict[str, Any]) -> str:
    if not seen.get("answered"):
        return f"no answer ({seen.get('error')})"
    connected = seen.get("connected")
    word = "" if connected is None else ", connected" if connected else ", not connected"
    return f"HTTP {seen.get('status')}{word}"
