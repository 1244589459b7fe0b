"""Requests from the command line: show, wait, and exit with the code that tells how it ended."""

import threading
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.db import connection
from rich.console import Console

from deployments.core.texts import spoken
from deployments.execution import reaper, remote_cancellation
from deployments.execution import run as execution
from deployments.execution.claims import Claimed, hand_over, provisioning_beside
from deployments.execution.spans import spans
from deployments.lifecycle import Status
from deployments.management.base import PortalCommand
from deployments.management.describing import describe
from deployments.management.following import Follower, StillGoing
from deployments.management.numbers import SECONDS
from deployments.management.texts import one_line
from deployments.models import Deployment
from engine.errors import InvalidRequest

STILL_GOING = 124
"""Like timeout(1): the waiting ended, not the deployment."""
INTERRUPTED_BY_KEYBOARD = 130
"""128 + SIGINT, as shells have it: the waiting ended, not the deployment."""
REAP_SECONDS = 5.0
CANCEL_POLL_SECONDS = 0.5


def waiting_arguments(parser: ArgumentParser) -> None:
    """How to wait for the end."""
    parser.add_argument("--no-wait", action="store_true", help="return as soon as it is requested")
    parser.add_argument("--inline", action="store_true", help="run it in this process, where no worker is")
    parser.add_argument("--timeout", type=SECONDS, metavar="S", help="stop waiting after S seconds")
    parser.add_argument("--timings", action="store_true", help="tell where the time went, once it has ended")


class RequestCommand(PortalCommand):
    """A command that asks for a deployment and, unless told otherwise, waits for its end."""

    def check_waiting(self, options: dict[str, Any]) -> None:
        """Refuse options about waiting that contradict each other, before anything is asked for."""
        if options["no_wait"] and options["timings"]:
            raise InvalidRequest(
                "--timings tells where the time went, and --no-wait does not wait until it has.",
                hint="Leave one of them out.",
            )
        if options["inline"] and (options["no_wait"] or options["timeout"] is not None):
            raise InvalidRequest(
                "--inline runs the deployment in this process, which therefore waits for its end.",
                hint="Leave out --no-wait and --timeout; the deployment has deadlines of its own.",
            )

    def conclude(self, deployment: Deployment, options: dict[str, Any], *, until_waiting: bool = True) -> int:
        """Follow `deployment` as the options say and return its exit code."""
        if options["no_wait"]:
            return self.report(deployment, waited=False)
        console = None if self.as_json else Console(file=self.terminal(), highlight=False, soft_wrap=True)
        follower = Follower(deployment, console)
        if options["inline"] and deployment.status == Status.QUEUED:
            return self._carry_out(deployment, follower, timings=options["timings"])
        try:
            deployment = follower.follow(timeout=options["timeout"], until_waiting=until_waiting)
        except StillGoing:
            self._say_that_it_goes_on(deployment, f"still goes on after {options['timeout']:g} s")
            return STILL_GOING
        except KeyboardInterrupt:
            self._say_that_it_goes_on(deployment, "goes on without this terminal")
            return INTERRUPTED_BY_KEYBOARD
        return self.report(deployment, waited=True, timings=options["timings"])

    def _carry_out(self, deployment: Deployment, follower: Follower, *, timings: bool) -> int:
        """Run it here, in a thread: the first Ctrl-C is answered, the second one obeyed."""
        worker = InlineWorker(deployment.pk)
        worker.start()
        try:
            try:
                deployment = follower.follow(timeout=None, stop=worker.stopped)
            except KeyboardInterrupt:
                self._say_that_it_goes_on(deployment, "goes on, in this process")
                self.stderr.write(
                    "Ctrl-C again leaves it to its servers, which finish or revert by themselves; `manage.py reap` "
                    "then writes down how it ended."
                )
                deployment = follower.follow(timeout=None, stop=worker.stopped)
            worker.join()
        except KeyboardInterrupt:
            worker.let_go()
            return INTERRUPTED_BY_KEYBOARD
        except StillGoing:
            worker.join()
            raise worker.error or StillGoing from None
        return self.report(deployment, waited=True, timings=timings)

    def _say_that_it_goes_on(self, deployment: Deployment, how: str) -> None:
        self.stderr.write(
            f"\nDeployment {deployment.pk} {how}. To see it: manage.py history {deployment.environment}. "
            f"To end it: manage.py cancel {deployment.pk}"
        )

    def report(self, deployment: Deployment, *, waited: bool, timings: bool = False) -> int:
        """Say how it stands and return the code."""
        code = 0 if deployment.active else deployment.exit_code
        measured = spans(deployment) if timings else []
        if self.as_json:
            told = {"timings": [asdict(span) for span in measured]} if timings else {}
            self.emit(describe(deployment) | {"exit_code": code} | told)
            return code
        if deployment.status == Status.AWAITING_APPROVAL:
            self.say(
                f"Deployment {deployment.pk} waits for approval by somebody other than {deployment.requested_by}: "
                f"manage.py approve {deployment.pk}"
            )
        elif not waited:
            self.say(f"Deployment {deployment.pk} is {deployment.get_status_display().lower()}.")
        else:
            took = f" ({spoken(deployment.seconds)})" if deployment.seconds is not None else ""
            self.say(f"{deployment.get_status_display()}{took}: {one_line(deployment.sentence)}")
        for span in measured:
            self.say(f"  {span.where:20} {span.what:20} {span.seconds:8.3f} s")
        return code


class InlineWorker(threading.Thread):
    """What workers do, for one deployment in this process: execute, cancel when asked to, settle; ends with it."""

    def __init__(self, deployment_id: int) -> None:
        super().__init__(name="inline", daemon=True)
        self._deployment_id = deployment_id
        self.stopped = threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        """Claim, execute; and when a server could not be asked how it ended, keep asking as the reaper does."""
        cancelling = threading.Thread(target=self._watch_for_cancellation, name="inline-cancel", daemon=True)
        cancelling.start()
        try:
            while execution.execute(self._deployment_id) is None and self._waits():
                time.sleep(REAP_SECONDS)
            while Deployment.objects.executing().filter(pk=self._deployment_id).exists():
                reaper.reap()
                time.sleep(REAP_SECONDS)
        except Exception as error:  # noqa: BLE001  (raised again by the thread that waits)
            self.error = error
        finally:
            self.stopped.set()
            cancelling.join(REAP_SECONDS)  # it looks once more whether the deployment has ended
            connection.close()

    def _waits(self) -> bool:
        row = Deployment.objects.filter(pk=self._deployment_id, status=Status.QUEUED).first()
        return row is not None and provisioning_beside(row) is not None

    def let_go(self) -> None:
        """This process ends now: whoever reaps need not wait until the lease has run out."""
        deployment = Deployment.objects.get(pk=self._deployment_id)
        if deployment.claim is not None:
            hand_over(Claimed(deployment, deployment.claim))

    def _watch_for_cancellation(self) -> None:
        wanted = Deployment.objects.executing().filter(pk=self._deployment_id).exclude(cancel_requested_by="")
        try:
            while not self.stopped.wait(CANCEL_POLL_SECONDS):
                if wanted.exists():
                    remote_cancellation.cancel_remote(self._deployment_id)
        finally:
            connection.close()
