"""What `restart`, `stop` and `start` share: one server after the other, each told as it ends."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.models import Environment, Operation, Server
from deployments.operations.carrying_out import carry_out
from deployments.operations.requesting import operate
from engine.errors import Conflict, InvalidRequest


class OperateCommand(PortalCommand):
    """A command that does one thing to an environment's services, in this process."""

    kind: ClassVar[Operation.Kind]

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, and why."""
        parser.add_argument("environment")
        parser.add_argument("--server", metavar="NAME", help="only on this server of it")
        parser.add_argument("--unit", action="append", default=[], metavar="UNIT", help="only this unit; repeatable")
        parser.add_argument("--reason", default="", help="kept in the audit trail and shown on pages")

    def run(self, options: dict[str, Any]) -> int:
        """Stops at the first server that says no: the others go on as they were."""
        environment = selectors.environment_named(options["environment"])
        actor = self.actor(Verb.OPERATE, environment)
        ended: list[Operation] = []
        for server in servers_of(environment, options["server"]):
            row = operate(
                actor=actor,
                server=server,
                kind=self.kind,
                units=options["unit"],
                reason=options["reason"],
                queued=False,
            )
            row = carry_out(number=row.pk, say=self.say)
            ended.append(row)
            self.say(f"{server}: {row.sentence}")
            if row.exit_code:
                break
        if self.as_json:
            self.emit({"environment": str(environment), "operations": [_document(row) for row in ended]})
        return max((row.exit_code for row in ended), default=0)


def servers_of(environment: Environment, name: str | None) -> list[Server]:
    """The servers in service of an environment, or the one named. Raises NotFound, InvalidRequest."""
    if name:
        server = selectors.server_named(name)
        if server.environment_id != environment.pk:
            raise InvalidRequest(f"{server} is in {server.environment}, not in {environment}.", reason="other_server")
        return [server]
    rows = environment.servers.filter(state=Server.State.PROVISIONED, current_release__isnull=False)
    found = list(rows.select_related("environment", "current_release"))
    if not found:
        raise Conflict(f"Nothing has been deployed to {environment} yet.", reason="nothing_runs")
    return found


def _document(row: Operation) -> dict[str, Any]:
    return {
        "number": row.pk,
        "server": row.server.name,
        "kind": row.kind,
        "state": row.state,
        "outcome": row.outcome,
        "sentence": row.sentence,
    }
