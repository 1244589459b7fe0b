"""Say how an environment's services stand now."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.models import Environment, Operation, Server
from deployments.operations.selectors import fitting
from deployments.operations.status import Standing, status_of


class Command(PortalCommand):
    """`status [E]`."""

    help = "Ask the servers how their units stand and what the services answer; changes nothing."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where."""
        parser.add_argument("environment", nargs="?")
        parser.add_argument("--server", metavar="NAME", help="only this server of it")

    def run(self, options: dict[str, Any]) -> int:
        """A line per server and one per unit; 1 when one is not as it should be."""
        named = options["environment"]
        environments = [selectors.environment_named(named)] if named else list(Environment.objects.all())
        server = selectors.server_named(options["server"]) if options["server"] else None
        found: list[Standing] = []
        for environment in environments:
            found += status_of(actor=self.actor(Verb.VERIFY, environment), environment=environment, server=server)
        for standing in found:
            self._tell(standing)
        self.hint(found)
        if self.as_json:
            self.emit([asdict(standing) for standing in found])
        elif not found:
            self.say("Nothing runs here.")
        return 0 if all(standing.well for standing in found) else 1

    def hint(self, found: list[Standing]) -> None:
        """How what does not run is started, in the words that the pages have for it."""
        stands = {one.server: one.runs for one in found}
        for server in Server.objects.filter(name__in=stands).select_related("environment"):
            if stands[server.name] is False and Operation.Kind.START in fitting(server, stands[server.name]):
                self.say(f"To start what does not run: ./manage.py start {server.environment} --server {server}")

    def _tell(self, standing: Standing) -> None:
        words = {True: "ok", False: "NOT OK", None: "NO ANSWER"}
        self.say(f"{standing.server}: {words[standing.well]}. {standing.sentence}")
        for unit in standing.units:
            again = f", restarted {unit.restarts} times by systemd" if unit.restarts > 1 else ""
            again = ", restarted once by systemd" if unit.restarts == 1 else again
            self.say(f"  {unit.unit}: {unit.active} ({unit.detail}){again}")
        for role, answer in standing.health.items():
            self.say(f"  {role} answers: {answer}")
