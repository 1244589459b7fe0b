"""Let deployments to an environment happen again."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.environments.locks import unlock_environment
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`unlock E --reason TEXT`."""

    help = "Let deployments to a locked environment happen again."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, and why."""
        parser.add_argument("environment")
        parser.add_argument("--reason", default="", help="why; needed")

    def run(self, options: dict[str, Any]) -> int:
        """Unlock it."""
        row = selectors.environment_named(options["environment"])
        unlock_environment(actor=self.actor(Verb.LOCK, row), environment=row, reason=options["reason"])
        if self.as_json:
            self.emit({"environment": str(row), "locked": row.locked})
        self.say(f"{row} is unlocked.")
        return 0
