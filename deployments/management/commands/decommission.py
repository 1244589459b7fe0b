"""Take a server out of service."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.bootstrap import bootstrap_arguments, bootstrap_of
from deployments.models import Server
from deployments.servers.decommissioning import decommission_on_record, decommission_server, removal_of
from deployments.servers.provisioning import changed
from engine.errors import InvalidRequest
from engine.remote.reports import Report


class Command(PortalCommand):
    """`decommission NAME [--plan] [--delete-data] [--record-only]`."""

    help = (
        "Take everything of ours off a server, through an account that may become root, and its record out of service."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        """The server, the bootstrap account, and how much."""
        parser.add_argument("name")
        parser.add_argument("--plan", action="store_true", help="show what would be removed, and change nothing")
        parser.add_argument("--delete-data", action="store_true", help="also what the bot wrote, and the backups")
        parser.add_argument(
            "--record-only",
            action="store_true",
            help="the machine cannot be reached: mark the record, say what stays there",
        )
        bootstrap_arguments(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Remove, and tell what stays."""
        server = selectors.server_named(options["name"])
        actor = self.actor(Verb.DECOMMISSION, server.environment)
        if options["record_only"]:
            if options["plan"] or options["delete_data"]:
                raise InvalidRequest("--record-only changes nothing on the machine: it goes with no other option.")
            return self.told(server, left=decommission_on_record(actor=actor, server=server))
        reports = decommission_server(
            actor=actor,
            server=server,
            bootstrap=bootstrap_of(options),
            plan=options["plan"],
            delete_data=options["delete_data"],
            on_report=self.show,
        )
        kept = [] if options["delete_data"] else removal_of(server).data
        return self.told(server, planned=options["plan"], removed=changed(reports), kept=kept)

    def told(
        self,
        server: Server,
        *,
        planned: bool = False,
        removed: list[Report] | None = None,
        kept: list[str] | None = None,
        left: list[str] | None = None,
    ) -> int:
        """What happened, as lines or one document."""
        if self.as_json:
            self.emit(
                {
                    "server": server.name,
                    "plan": planned,
                    "removed": [{"what": report.name, "sentence": report.sentence} for report in removed or []],
                    "kept": kept or [],
                    "left": left or [],
                }
            )
        for sentence in left or []:
            self.say(f"  {sentence}")
        if kept:
            self.say(f"{'Would stay' if planned else 'Kept'} on it: {', '.join(kept)} (--delete-data removes them).")
        if planned:
            self.say(f"{server.name} would be decommissioned: {len(removed or [])} things would be removed.")
        else:
            self.say(f"{server.name} is decommissioned{' on record only' if left else ''}; its history stays.")
        return 0

    def show(self, report: Report) -> None:
        """One line for everything that goes."""
        if report.state != "ok":
            self.say(f"  {report.sentence}")
