"""Go back to an earlier release, before everything else."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.waiting import RequestCommand, waiting_arguments
from deployments.requests.hook_effects import left_behind
from deployments.requests.rollbacks import request_rollback
from deployments.requests.way_forward import way_forward


class Command(RequestCommand):
    """`rollback E [--to ID] [--reason]`."""

    help = "Roll an environment back to its previous or a named release; a running deployment is cancelled first."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, to what, and why."""
        parser.add_argument("environment")
        parser.add_argument("--to", help="identifier or version (default: the release before)")
        parser.add_argument("--reason", default="", help="what is wrong; needed")
        waiting_arguments(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Request, follow, report, and say what comes next."""
        self.check_waiting(options)
        environment = selectors.environment_named(options["environment"])
        deployment = request_rollback(
            actor=self.actor(Verb.ROLL_BACK, environment),
            environment=environment,
            reason=options["reason"],
            to=selectors.release_named(options["to"], environment.application) if options["to"] else None,
        )
        for said in left_behind(environment, deployment.release):
            self.say(said)
        code = self.conclude(deployment, options, until_waiting=False)
        deployment.refresh_from_db()
        for said in way_forward(deployment):
            self.say(said)
        return code
