"""Rehearse what must work on the day it is needed."""

from argparse import ArgumentParser
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from alerting.drills import drill_alerts
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.drills import records as drill_records
from deployments.drills.drills import Rehearsal, drill_restore, drill_rollback
from deployments.execution import run as execution
from deployments.management import passphrase
from deployments.management.following import Follower
from deployments.management.numbers import Whole
from deployments.management.waiting import RequestCommand
from deployments.models import Deployment
from deployments.snapshot import ROUND_SECONDS
from engine.errors import InvalidRequest


class Command(RequestCommand):
    """`drill rollback|alerts|restore [E]`."""

    help = "Rehearse a rollback, an alert or a restore: real, timed, and recorded."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to rehearse, and where."""
        parser.add_argument("what", choices=("rollback", "alerts", "restore"))
        parser.add_argument("environment", nargs="?")
        parser.add_argument("--inline", action="store_true", help="carry the rollbacks out in this process")
        parser.add_argument(
            "--from", dest="directory", type=Path, default=settings.BACKUP_DIR, help="where backups are"
        )
        parser.add_argument(
            "--unless-within",
            type=Whole(0, 3650),
            metavar="DAYS",
            help="do nothing when this drill passed in the last DAYS days",
        )
        passphrase.add_argument(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Hold the drill; 0 when it passed, else 1."""
        name, days = f"drill.{options['what']}", options["unless_within"]
        if days is not None and drill_records.passed_within(name, timedelta(days=days)):
            if self.as_json:
                self.emit({"name": name, "held": False})
            self.say(f"{name}: passed within the last {days} days.")
            return 0
        rehearsal = self._hold(options)
        if self.as_json:
            self.emit(asdict(rehearsal))
        for name, seconds in rehearsal.measured.items():
            self.say(f"  {name}: {seconds:.1f} s")
        for problem in rehearsal.problems:
            self.say(f"  {problem}")
        self.say(f"{rehearsal.name}: {'passed' if rehearsal.passed else 'FAILED'}.")
        return 0 if rehearsal.passed else 1

    def _hold(self, options: dict[str, Any]) -> Rehearsal:
        if options["what"] == "restore":
            return drill_restore(
                actor=self.actor(Verb.DRILL), directory=options["directory"], passphrase=passphrase.read(options)
            )
        if not options["environment"]:
            raise InvalidRequest(f"drill {options['what']} needs an environment.", hint="drill rollback test")
        environment = selectors.environment_named(options["environment"])
        actor = self.actor(Verb.DRILL, environment)
        if options["what"] == "alerts":
            return drill_alerts(actor=actor, environment=environment)
        return drill_rollback(
            actor=actor,
            environment=environment,
            carry_out=self._inline if options["inline"] else self._by_a_worker,
        )

    def _by_a_worker(self, deployment: Deployment) -> Deployment:
        return Follower(deployment, None).follow(
            timeout=ROUND_SECONDS * len(deployment.sealed.rounds), until_waiting=False
        )

    def _inline(self, deployment: Deployment) -> Deployment:
        execution.execute(deployment.pk)
        deployment.refresh_from_db()
        return deployment
