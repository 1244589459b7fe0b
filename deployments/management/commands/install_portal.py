"""Move this portal to a server."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from deployments.access.verbs import Verb
from deployments.backup.moving import check_ready, move_portal, take_charge
from deployments.core import selectors
from deployments.management.bootstrap import bootstrap_arguments, bootstrap_of
from deployments.management.waiting import RequestCommand
from deployments.models import Server
from deployments.requests.requests import request_deployment


class Command(RequestCommand):
    """`install_portal NAME`."""

    help = "Move this portal to a provisioned server with the role portal; this one changes nothing any more then."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where to, and as whom."""
        parser.add_argument("name")
        bootstrap_arguments(parser)
        parser.add_argument("--inline", action="store_true", help="deploy in this process, where no worker is")
        parser.add_argument(
            "--take-charge", action="store_true", help="what this command runs on the server, in the end"
        )

    def run(self, options: dict[str, Any]) -> int:
        """Deploy where nothing runs yet, then move; 3 while the deployment waits for approval."""
        if options["take_charge"]:
            arrived = take_charge(actor=self.actor(Verb.MOVE_PORTAL))
            self.say(f"This portal is in charge at {arrived.url}.")
            return 0
        server = selectors.server_named(options["name"])
        actor = self.actor(Verb.MOVE_PORTAL, server.environment)
        check_ready(actor=actor, server=server)
        bootstrap = bootstrap_of(options)
        if server.current_release is None and (code := self._deploy(server, options)):
            return code
        server.refresh_from_db()
        moved = move_portal(actor=actor, server=server, bootstrap=bootstrap, say=self._tell)
        if self.as_json:
            self.emit(asdict(moved))
        self.say(f"The portal is at {moved.url} now. Nothing could be changed for {moved.seconds:.1f} s.")
        self.say("This one can be read, and changes nothing any more. Stop it when nobody needs it.")
        return 0

    def _deploy(self, server: Server, options: dict[str, Any]) -> int:
        environment = server.environment
        deployment = request_deployment(
            actor=self.actor(Verb.REQUEST, environment),
            release=selectors.newest_release(environment.application),
            environment=environment,
            reason=f"the portal moves to {server.name}",
        )
        return self.conclude(deployment, {"no_wait": False, "timeout": None, "inline": options["inline"]})

    def _tell(self, line: str) -> None:
        self.say(f"  {line}")
