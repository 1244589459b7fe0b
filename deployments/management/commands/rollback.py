"""Go back to an earlier release, before everything else."""

from argparse import ArgumentParser
from typing import Any

from deployments.core import selectors
from deployments.management.waiting import RequestCommand
from deployments.requests.rollbacks import request_rollback


class Command(RequestCommand):
    """`rollback E [--to ID] [--reason]`."""

    help = "Roll an environment back to its previous or a named release; a running deployment is cancelled first."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, to what, and why."""
        parser.add_argument("environment")
        parser.add_argument("--to", help="identifier or version (default: the release before)")
        parser.add_argument("--reason", default="", help="what is wrong; needed")
        parser.add_argument("--no-wait", action="store_true", help="return as soon as it is requested")
        parser.add_argument("--inline", action="store_true", help="run it in this process, where no worker is")
        parser.add_argument("--timeout", type=float, metavar="S", help="stop waiting after S seconds")

    def run(self, options: dict[str, Any]) -> int:
        """Request, follow, report."""
        self.check_waiting(options)
        environment = selectors.environment_named(options["environment"])
        deployment = request_rollback(
            actor=self.actor("roll_back", environment),
            environment=environment,
            reason=options["reason"],
            to=selectors.release_named(options["to"]) if options["to"] else None,
        )
        return self.conclude(deployment, options, until_waiting=False)
