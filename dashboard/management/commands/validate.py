"""An environment measured over a window."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from dashboard.models import Validation
from dashboard.validation import running
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.numbers import Decimal
from engine.errors import InvalidRequest


class Command(PortalCommand):
    """`validate start E | report [ID] | stop [ID]`."""

    help = "Measure an environment against its limits over a window; the workers do so, whoever started it."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, with which."""
        parser.add_argument("what", choices=("start", "report", "stop"))
        parser.add_argument("which", nargs="?", default="", metavar="E|ID", help="an environment, or a validation")
        parser.add_argument(
            "--hours",
            type=Decimal(0, running.LONGEST_HOURS),
            default=24.0,
            help="start: length of the window (default: 24)",
        )
        parser.add_argument("--html", action="store_true", help="report: the page with charts instead of Markdown")

    def run(self, options: dict[str, Any]) -> int:
        """Start, report or stop; `report` ends with 1 for a validation that failed, 7 for one that nobody can tell."""
        which: str = options["which"]
        if options["what"] == "start":
            if not which:
                raise InvalidRequest("validate start needs an environment.", hint="validate start test")
            environment = selectors.environment_named(which)
            actor = self.actor(Verb.VERIFY, environment)
            return self._tell(running.start(actor=actor, environment=environment, hours=options["hours"]))
        row = running.numbered(which)
        if options["what"] == "stop":
            return self._tell(running.stop(actor=self.actor(Verb.VERIFY, row.environment), validation=row))
        require(self.actor(Verb.VIEW, row.environment), Verb.VIEW, row.environment)
        return self._report(row, html=options["html"])

    def _tell(self, row: Validation) -> int:
        if self.as_json:
            told = {"id": row.pk, "state": row.state, "until": row.until, "digest": row.digest}
            self.emit(told | {"warning": running.warning(row)})
        self.say(f"{str(row).capitalize()}, until {row.until:%Y-%m-%d %H:%M:%S} UTC.")
        if row.ended_at is None and (short := running.warning(row)):
            self.say(f"{short} To ask for another: validate stop {row.pk}, then validate start {row.environment}.")
        return 0

    def _report(self, row: Validation, *, html: bool) -> int:
        ends = {Validation.State.FAILED: 1, Validation.State.INTERRUPTED: 7}
        code = ends.get(Validation.State(row.state), 0)
        if row.ended_at:
            if self.as_json:
                self.emit({"id": row.pk, "state": row.state, "sentence": row.sentence, "digest": row.digest})
            else:
                self.stdout.write(row.html if html else row.markdown)
            return code
        _, limits, _ = running.measured(row, timezone.now())
        if self.as_json:
            self.emit({"id": row.pk, "state": row.state, "limits": [vars(limit) for limit in limits]})
        for limit in limits:
            self.say(f"{limit.verdict}: {limit.title}: {limit.sentence}")
        return self._tell(row) if not self.as_json else 0
