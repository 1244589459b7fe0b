"""Requests from the command line: show, wait, and exit with the code that tells how it ended."""

import threading
from typing import Any

from django.db import connection
from rich.console import Console

from deployments.lifecycle import Status
from deployments.management.base import PortalCommand
from deployments.management.following import Follower, StillGoing
from deployments.models import Deployment
from deployments.services import execution

INTERRUPTED_BY_KEYBOARD = 130
STILL_GOING = 1


class RequestCommand(PortalCommand):
    """A command that asks for a deployment and, unless told otherwise, waits for its end."""

    def conclude(self, deployment: Deployment, options: dict[str, Any], *, until_waiting: bool = True) -> int:
        """Follow `deployment` as the options say and return its exit code."""
        if options["no_wait"] and not options["inline"]:
            return self.report(deployment, waited=False)
        console = None if self.as_json else Console(file=self.terminal(), highlight=False, soft_wrap=True)
        follower = Follower(deployment, console)
        runner = None
        if options["inline"] and deployment.status == Status.QUEUED:
            runner = threading.Thread(target=_run_here, args=(deployment.pk,), name="inline")
            runner.start()
        try:
            deployment = follower.follow(timeout=options["timeout"], until_waiting=until_waiting)
        except StillGoing:
            self.stderr.write(
                f"Deployment {deployment.pk} still goes on after {options['timeout']:g} s; see it with history."
            )
            return STILL_GOING
        except KeyboardInterrupt:
            self.stderr.write(
                f"\nDeployment {deployment.pk} goes on without this terminal. "
                f"To end it: manage.py cancel {deployment.pk}"
            )
            return INTERRUPTED_BY_KEYBOARD
        finally:
            if runner is not None:
                runner.join()
        return self.report(deployment, waited=True)

    def report(self, deployment: Deployment, *, waited: bool) -> int:
        """Say how it stands and return the code."""
        code = deployment.exit_code if deployment.ended or deployment.status == Status.AWAITING_APPROVAL else 0
        if self.as_json:
            self.emit(describe(deployment) | {"exit_code": code})
            return code
        if deployment.status == Status.AWAITING_APPROVAL:
            self.say(
                f"Deployment {deployment.pk} waits for approval by somebody else than {deployment.requested_by}: "
                f"manage.py approve {deployment.pk}"
            )
        elif not waited:
            self.say(f"Deployment {deployment.pk} is {deployment.get_status_display().lower()}.")
        else:
            took = f" ({deployment.seconds:.1f} s)" if deployment.seconds is not None else ""
            self.say(f"{deployment.get_status_display()}{took}: {deployment.sentence}")
        return code


def describe(deployment: Deployment) -> dict[str, Any]:
    """A deployment as the JSON document of the command line."""
    return {
        "deployment": deployment.pk,
        "environment": deployment.environment.name,
        "release": deployment.release.identifier,
        "kind": deployment.kind,
        "status": deployment.status,
        "outcome": deployment.outcome,
        "sentence": deployment.sentence,
        "requested_by": deployment.requested_by,
        "reason": deployment.reason,
        "seal": deployment.seal,
        "seconds": deployment.seconds,
        "requested_at": deployment.requested_at,
        "finished_at": deployment.finished_at,
        "targets": [
            {
                "server": target.server.name,
                "status": target.status,
                "outcome": target.outcome,
                "sentence": target.sentence,
                "steps": {step.name: step.seconds for step in target.steps.all()},
            }
            for target in deployment.targets.select_related("server").prefetch_related("steps")
        ],
    }


def _run_here(deployment_id: int) -> None:
    try:
        execution.execute(deployment_id)
    finally:
        connection.close()
