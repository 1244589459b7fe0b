"""Ask for a deployment and wait for its end."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.planning import print_plan
from deployments.management.waiting import RequestCommand, waiting_arguments
from deployments.requests.choices import choose_release, passed_over
from deployments.requests.requests import request_deployment
from deployments.requests.snapshots import take_snapshot


class Command(RequestCommand):
    """`deploy E [--release ID] [--again] [--reason] [--plan] [--no-wait] [--inline] [--timeout S]`."""

    help = "Deploy a release to an environment, and wait until it has ended."

    def arguments(self, parser: ArgumentParser) -> None:
        """What, where, and how to wait."""
        parser.add_argument("environment")
        parser.add_argument(
            "--release", help="identifier or version (default: the newest that succeeded in the environment before it)"
        )
        parser.add_argument("--reason", default="", help="why; shown to whoever approves")
        parser.add_argument("--break-glass", action="store_true", help="without approval; announced, needs a review")
        parser.add_argument("--plan", action="store_true", help="show what would happen and change nothing")
        parser.add_argument("--again", action="store_true", help="also a release that ended badly there before")
        waiting_arguments(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Request, follow, report."""
        self.check_waiting(options)
        environment = selectors.environment_named(options["environment"])
        release = (
            selectors.release_named(options["release"], environment.application)
            if options["release"]
            else choose_release(environment, again=options["again"])
        )
        if not options["release"]:
            for said in passed_over(environment, release):
                self.say(said)
        if options["plan"]:
            snapshot = take_snapshot(environment=environment, release=release)
            print_plan(self, environment, release, snapshot)
            return 0
        verb = Verb.BREAK_GLASS if options[Verb.BREAK_GLASS] else Verb.REQUEST
        deployment = request_deployment(
            actor=self.actor(verb, environment),
            release=release,
            environment=environment,
            reason=options["reason"],
            break_glass=options["break_glass"],
        )
        return self.conclude(deployment, options)
