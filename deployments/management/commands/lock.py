"""Refuse deployments to an environment until a time, or until somebody unlocks it."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.moments import moment
from deployments.environments.guards import locked_sentence
from deployments.environments.locks import lock_environment
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`lock E --reason TEXT [--until T | --for 2h]`."""

    help = "Refuse deployments to an environment until a time, or until somebody unlocks it; rollbacks go on."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, why and until when."""
        parser.add_argument("environment")
        parser.add_argument("--reason", default="", help="why; needed")
        end = parser.add_mutually_exclusive_group()
        end.add_argument("--until", default="", metavar="T", help="a date and time (UTC) at which it ends by itself")
        end.add_argument("--for", dest="lasting", default="", metavar="T", help="30m, 2h, 3d from now")

    def run(self, options: dict[str, Any]) -> int:
        """Lock it, and say so as everybody reads it."""
        row = selectors.environment_named(options["environment"])
        until = moment(options["until"] or options["lasting"], timezone.now(), ahead=True)
        lock_environment(actor=self.actor(Verb.LOCK, row), environment=row, reason=options["reason"], until=until)
        if self.as_json:
            self.emit({"environment": str(row), "locked": row.locked, "locked_until": row.lock_until})
        self.say(locked_sentence(row))
        return 0
