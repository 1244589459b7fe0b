"""Store a secret of an environment and deliver it."""

import sys
from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.environments.secrets import set_secret
from deployments.management.base import PortalCommand
from deployments.servers.credential_check import set_tried_secret


class Command(PortalCommand):
    """`set_secret E NAME [--try]`, the value on standard input."""

    help = "Store a secret (value on standard input) and deliver it to the environment's servers."

    def arguments(self, parser: ArgumentParser) -> None:
        """Environment and name; the value is never an argument."""
        parser.add_argument("environment")
        parser.add_argument("name")
        parser.add_argument(
            "--try",
            dest="tried",
            action="store_true",
            help="first have what the environment runs sign in with it; keep it if that works",
        )

    def run(self, options: dict[str, Any]) -> int:
        """Read, store, deliver."""
        environment = selectors.environment_named(options["environment"])
        actor = self.actor(Verb.SET_SECRET, environment)
        if sys.stdin.isatty():
            self.stderr.write("Type the value, then Enter and Ctrl-D:")
        value = sys.stdin.read().removesuffix("\n")
        keep = set_tried_secret if options["tried"] else set_secret
        secret, servers = keep(actor=actor, environment=environment, name=options["name"], value=value)
        if self.as_json:
            self.emit({"secret": secret.name, "version": secret.version, "delivered_to": servers})
        reached = f"delivered to {', '.join(servers)}" if servers else "no server is provisioned yet"
        self.say(f"{environment}/{secret.name} is version {secret.version}; {reached}.")
        return 0
