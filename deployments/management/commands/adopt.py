"""Take over what a server says about itself."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.describing import describe
from deployments.servers.adoption import adopt_server


class Command(PortalCommand):
    """`adopt NAME`."""

    help = "Take over what a server says it runs, its fence and its history, after a deployment without this portal."

    def arguments(self, parser: ArgumentParser) -> None:
        """The server."""
        parser.add_argument("name")

    def run(self, options: dict[str, Any]) -> int:
        """Ask, record, tell what is new."""
        server = selectors.server_named(options["name"])
        adopted = adopt_server(actor=self.actor(Verb.ENROL, server.environment), server=server)
        runs = adopted.release.identifier if adopted.release else None
        if self.as_json:
            self.emit(
                {
                    "server": server.name,
                    "release": runs,
                    "fence": adopted.fence,
                    "imported": [describe(row) for row in adopted.deployments],
                }
            )
        for row in adopted.deployments:
            self.say(f"  imported {row}: {row.get_status_display().lower()}, requested by {row.requested_by}")
        self.say(f"{server.name} runs {runs or 'nothing'}; the next fence is {adopted.fence + 1}.")
        return 0
