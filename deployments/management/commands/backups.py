"""List the backups of an application's data."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.operating import servers_of
from deployments.operations.data import backups_on, rehearse_restore


class Command(PortalCommand):
    """`backups E`."""

    help = "List the copies of the databases that were made before activations; with --check, prove one."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, and which."""
        parser.add_argument("environment")
        parser.add_argument("--server", metavar="NAME", help="only this server of it")
        parser.add_argument("--check", default="", metavar="BACKUP", help="restore this one into a scratch directory")

    def run(self, options: dict[str, Any]) -> int:
        """One line per backup, the newest first."""
        environment = selectors.environment_named(options["environment"])
        actor = self.actor(Verb.VERIFY, environment)
        servers = servers_of(environment, options["server"])
        if options["check"]:
            for server in servers:
                said = rehearse_restore(actor=actor, server=server, backup=options["check"])
                self.say(f"{server}: {said}")
            return 0
        found = {server.name: backups_on(actor=actor, server=server) for server in servers}
        if self.as_json:
            self.emit({name: [asdict(backup) for backup in backups] for name, backups in found.items()})
        for name, backups in found.items():
            for one in backups:
                state = "whole" if one.whole else "NOT WHOLE"
                self.say(f"{name} {one.name}: {', '.join(one.databases)}, {one.size / 1e6:.1f} MB, {state}")
            if not backups:
                self.say(f"{name}: no backup.")
        return 0
