"""Make an account, or a new link for one that nobody has used."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User

from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand
from deployments.models import Role
from deployments.people.accounts import add_person
from deployments.people.invitations import invite


class Command(PortalCommand):
    """`invite NAME [--role ROLE …]`."""

    help = "Print a link of one use by which somebody chooses a password. Needs an administrator, who signs in."

    def arguments(self, parser: ArgumentParser) -> None:
        """Whom, and what they may do."""
        parser.add_argument("name")
        parser.add_argument(
            "--role", action="append", default=[], choices=Role.values, help="of a new account; give it several times"
        )

    def run(self, options: dict[str, Any]) -> int:
        """Print it, once."""
        actor, name = self.actor(Verb.MANAGE_PEOPLE), options["name"]
        person = User.objects.filter(username=name).first()
        if person is None:
            person = add_person(actor=actor, username=name, roles=[Role(role) for role in options["role"]])
        link = str(invite(actor=actor, person=person))
        self.emit({"link": link}) if self.as_json else self.say(link)
        return 0
