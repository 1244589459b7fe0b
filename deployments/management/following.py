"""Watching a deployment from the command line: a live line on a terminal, plain lines otherwise."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from django.utils import timezone
from rich.console import Console
from rich.status import Status as Spinner
from rich.text import Text

from deployments.core import selectors
from deployments.lifecycle import Kind, Status
from deployments.management.texts import one_line
from deployments.models import Deployment, LogLine, Step

POLL_SECONDS = 0.2
NO_WORKER_SECONDS = 10.0
_STYLES = {"ok": "green", "failed": "red bold", "reverted": "yellow", "running": "cyan"}


class StillGoing(Exception):
    """Waiting ended before the deployment did."""


class Follower:
    """Prints steps and log lines of one deployment as they are stored, until it ends or waits for a person."""

    def __init__(
        self, deployment: Deployment, console: Console | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pk = deployment.pk
        self._console = console
        self._clock = clock
        self._last_line = 0
        self._steps: dict[int, str] = {}
        self._status = ""
        self._warned = False
        self._spinner: Spinner | None = None
        self._expected = selectors.expected_seconds(deployment.environment, Kind(deployment.kind))

    def follow(
        self, *, timeout: float | None, until_waiting: bool = True, stop: threading.Event | None = None
    ) -> Deployment:
        """Return the deployment when it ended (or waits for approval).

        Raises StillGoing after `timeout` seconds, or when `stop` is set and it has not ended. It may be called again
        after an interruption, and goes on where it was.
        """
        started = self._clock()
        with self._live():
            while True:
                last = stop is not None and stop.is_set()
                deployment = Deployment.objects.select_related("environment", "release").get(pk=self._pk)
                self._show(deployment)
                if deployment.ended or (until_waiting and deployment.status == Status.AWAITING_APPROVAL):
                    self._show_details()
                    return deployment
                if last or (timeout is not None and self._clock() - started > timeout):
                    raise StillGoing
                self._warn_without_worker(deployment)
                time.sleep(POLL_SECONDS)

    def _live(self) -> AbstractContextManager[object]:
        if self._console is None or not self._console.is_terminal:
            return nullcontext()
        self._spinner = self._console.status("")
        return self._spinner

    def _show(self, deployment: Deployment) -> None:
        if deployment.status != self._status:
            self._status = deployment.status
            self._print(f"{deployment}: {deployment.get_status_display().lower()}", style="bold")
        self._show_details()
        if self._spinner is not None:
            self._spinner.update(self._progress(deployment))

    def _progress(self, deployment: Deployment) -> str:
        status = deployment.get_status_display()
        if deployment.started_at is None:
            return status
        passed = (timezone.now() - deployment.started_at).total_seconds()
        expected = f" of about {self._expected:.0f} s" if self._expected else " s"
        return f"{status}, {passed:.0f}{expected}"

    def _show_details(self) -> None:
        for line in LogLine.objects.filter(deployment=self._pk, id__gt=self._last_line).select_related(
            "target__server"
        ):
            self._last_line = line.pk
            where = line.target.server.name if line.target else "portal"
            self._print(f"  {where}  {line.text}", style="dim")
        for step in Step.objects.filter(target__deployment=self._pk).select_related("target__server"):
            if self._steps.get(step.pk) == step.state:
                continue
            self._steps[step.pk] = step.state
            seconds = f" {step.seconds:.2f} s" if step.seconds is not None else ""
            self._print(f"  {step.target.server.name}  {step.name}: {step.state}{seconds}", style=_STYLES[step.state])

    def _warn_without_worker(self, deployment: Deployment) -> None:
        if self._warned or deployment.status != Status.QUEUED or deployment.queued_at is None:
            return
        if (timezone.now() - deployment.queued_at).total_seconds() > NO_WORKER_SECONDS:
            self._warned = True
            self._print(
                "No worker has taken it yet. Is `make run` or cytube-worker.service running? "
                "`--inline` runs it in this process.",
                style="yellow",
            )

    def _print(self, line: str, *, style: str) -> None:
        if self._console is not None:
            indent = line[: len(line) - len(line.lstrip())]
            self._console.print(Text(indent + one_line(line), style=style))
