"""Print how to give an environment's secrets to GitHub."""

import sys
from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.github.runner import secret_names
from deployments.github.secrets import github_secret
from deployments.management.base import PortalCommand
from engine.errors import InvalidRequest


class Command(PortalCommand):
    """`github_secrets E [--value NAME]`."""

    help = "Print the `gh secret set` lines of an environment; the values go through a pipe, never on a command line."

    def arguments(self, parser: ArgumentParser) -> None:
        """The environment, and one secret whose value goes into a pipe."""
        parser.add_argument("environment")
        parser.add_argument("--value", metavar="NAME", help="print the value of this secret, into a pipe only")

    def run(self, options: dict[str, Any]) -> int:
        """The lines, or one value."""
        environment = selectors.environment_named(options["environment"])
        names = list(secret_names(environment.name).values())
        if options["value"] is None:
            lines = [
                f"./manage.py github_secrets {environment} --value {name} | gh secret set {name} --env {environment}"
                for name in names
            ]
            if self.as_json:
                self.emit({"environment": str(environment), "secrets": names, "lines": lines})
            for line in lines:
                self.say(line)
            return 0
        if self.as_json or self.terminal().isatty():
            raise InvalidRequest(
                "A secret is not shown on a terminal.", hint="Pipe it into `gh secret set`, as the printed lines do."
            )
        actor = self.actor(Verb.ROTATE_KEYS, environment)
        sys.stdout.write(github_secret(actor=actor, environment=environment, name=options["value"]))
        return 0
