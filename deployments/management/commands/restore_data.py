"""Bring a backup of an application's data back."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.operations.carrying_out import carry_out
from deployments.operations.data import restore_data


class Command(PortalCommand):
    """`restore_data SERVER BACKUP`."""

    help = "Stop a server's services, keep what is there, restore a backup of its databases, start and verify."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, which, and why."""
        parser.add_argument("server")
        parser.add_argument("backup", help="as `backups` lists it")
        parser.add_argument("--reason", required=True, help="kept in the audit trail")

    def run(self, options: dict[str, Any]) -> int:
        """Waits until it has ended."""
        server = selectors.server_named(options["server"])
        actor = self.actor(Verb.RESTORE_DATA, server.environment)
        row = restore_data(actor=actor, server=server, backup=options["backup"], reason=options["reason"], queued=False)
        row = carry_out(number=row.pk, say=self.say)
        self.say(f"{server}: {row.sentence}")
        if self.as_json:
            self.emit({"number": row.pk, "state": row.state, "outcome": row.outcome, "sentence": row.sentence})
        return row.exit_code
