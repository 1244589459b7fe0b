"""Let somebody in again who has lost every way."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand
from deployments.people.recovery import recover
from engine.errors import NotFound


class Command(PortalCommand):
    """`recover NAME --reason TEXT`."""

    help = "End every way in that somebody has, and print a link of one use. Needs an administrator, who signs in."

    def arguments(self, parser: ArgumentParser) -> None:
        """Whom, and why."""
        parser.add_argument("name")
        parser.add_argument("--reason", required=True, help="what happened, and how you know that it is them")

    def run(self, options: dict[str, Any]) -> int:
        """Print it, once."""
        actor = self.actor(Verb.MANAGE_PEOPLE)
        person = User.objects.filter(username=options["name"]).first()
        if person is None:
            raise NotFound(f"There is no account {options['name']}.", hint="`manage.py invite NAME` makes one.")
        link = str(recover(actor=actor, person=person, reason=options["reason"]))
        self.emit({"link": link}) if self.as_json else self.say(link)
        return 0
