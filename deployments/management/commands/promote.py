"""Deploy what is live in one environment to another."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.waiting import RequestCommand, waiting_arguments
from deployments.requests.choices import promoted_release
from deployments.requests.requests import request_deployment


class Command(RequestCommand):
    """`promote FROM TO [--reason] [--again] [--no-wait] [--inline] [--timeout S]`."""

    help = "Deploy what is live in one environment to another, and wait until it has ended."

    def arguments(self, parser: ArgumentParser) -> None:
        """From where, to where, and how to wait."""
        parser.add_argument("source", metavar="FROM")
        parser.add_argument("target", metavar="TO")
        parser.add_argument("--reason", default="", help="why; shown to whoever approves")
        parser.add_argument("--again", action="store_true", help="also what ended badly there before")
        waiting_arguments(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Request, follow, report."""
        self.check_waiting(options)
        source = selectors.environment_named(options["source"])
        target = selectors.environment_named(options["target"])
        deployment = request_deployment(
            actor=self.actor(Verb.REQUEST, target),
            release=promoted_release(source, target, again=options["again"]),
            environment=target,
            reason=options["reason"],
        )
        return self.conclude(deployment, options)
