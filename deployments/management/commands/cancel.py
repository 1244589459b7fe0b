"""Cancel a deployment."""

import time
from argparse import ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.lifecycle import Status
from deployments.management.base import PortalCommand
from deployments.management.numbers import RECORD, SECONDS
from deployments.management.waiting import STILL_GOING
from deployments.requests.cancellation import cancel

POLL_SECONDS = 0.2


class Command(PortalCommand):
    """`cancel ID [--no-wait] [--timeout S]`."""

    help = "Cancel a deployment, and wait until it is proven that nothing of it runs on any server."

    def arguments(self, parser: ArgumentParser) -> None:
        """Which, and how long to wait."""
        parser.add_argument("deployment", type=RECORD)
        parser.add_argument("--no-wait", action="store_true", help="return as soon as the cancellation is asked for")
        parser.add_argument("--timeout", type=SECONDS, default=120.0, metavar="S", help="stop waiting after S seconds")

    def run(self, options: dict[str, Any]) -> int:
        """Cancel; 0 when it is cancelled, else the exit code of how it ended, or 124 when it has not ended in time."""
        deployment = selectors.deployment_numbered(options["deployment"])
        actor = self.actor(Verb.CANCEL, deployment.environment)
        deployment = cancel(actor=actor, deployment=deployment)
        if not options["no_wait"]:
            end = time.monotonic() + options["timeout"]
            while not deployment.ended and time.monotonic() < end:
                time.sleep(POLL_SECONDS)
                deployment.refresh_from_db()
        if self.as_json:
            self.emit({"deployment": deployment.pk, "status": deployment.status, "sentence": deployment.sentence})
        if not deployment.ended:
            self.say(f"Deployment {deployment.pk} is being cancelled; see it with history.")
            return 0 if options["no_wait"] else STILL_GOING
        self.say(f"{deployment.get_status_display()}: {deployment.sentence}")
        return 0 if deployment.status == Status.CANCELLED else deployment.exit_code
