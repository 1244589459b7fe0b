"""Replace an environment's SSH key."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.environments.ssh_keys import rotate_keys
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`rotate_keys E`."""

    help = "Replace an environment's SSH key: the new one is let in and proven on every server before the old one goes."

    def arguments(self, parser: ArgumentParser) -> None:
        """Whose key."""
        parser.add_argument("environment")

    def run(self, options: dict[str, Any]) -> int:
        """Rotate, or finish what was begun."""
        environment = selectors.environment_named(options["environment"])
        done = rotate_keys(actor=self.actor(Verb.ROTATE_KEYS, environment), environment=environment, tell=self.say)
        if self.as_json:
            self.emit(
                {
                    "environment": str(environment),
                    "fingerprint": done.fingerprint,
                    "public_key": done.public_key,
                    "servers": done.servers,
                }
            )
        self.say(f"{environment} has a new key, {done.fingerprint}: {', '.join(done.servers) or 'no server yet'}.")
        self.say(f"Does a workflow deploy from its runner? Give it the new key: manage.py github_secrets {environment}")
        return 0
