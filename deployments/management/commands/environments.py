"""List, make, rename, order, retire and delete environments."""

from argparse import ArgumentParser
from typing import Any

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.environments import registry
from deployments.environments.guards import locked_sentence
from deployments.management.base import PortalCommand
from deployments.management.numbers import Whole
from deployments.models import Environment, Server
from engine.errors import InvalidRequest

TAKES = {
    "list": (0, 0, "nothing more"),
    "add": (1, 1, "APPLICATION/NAME"),
    "rename": (2, 2, "the environment and its new name"),
    "order": (1, 99, "the environments of one application, first to last"),
    "retire": (1, 1, "the environment, and --reason"),
    "delete": (1, 1, "the environment"),
}


class Command(PortalCommand):
    """`environments list | add A/E | rename E NAME | order E E… | retire E --reason TEXT | delete E`."""

    help = "List, make, rename, order, retire or delete environments."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, and with which."""
        parser.add_argument("what", choices=tuple(TAKES))
        parser.add_argument("names", nargs="*", metavar="E")
        parser.add_argument("--approvals", type=Whole(0, 100), metavar="N", help="add: how many approvals it asks for")
        parser.add_argument("--reason", default="", help="retire: why")

    def run(self, options: dict[str, Any]) -> int:
        """Do it, then say how it stands."""
        what, names = options["what"], options["names"]
        least, most, wanted = TAKES[what]
        if not least <= len(names) <= most:
            raise InvalidRequest(f"`environments {what}` takes {wanted}.", reason="usage")
        if what == "list":
            require(self.actor(Verb.VIEW), Verb.VIEW)
            return self.told(list(Environment.objects.prefetch_related("servers")))
        if what == "add":
            return self.add(names[0], options["approvals"])
        rows = [selectors.environment_named(name) for name in (names if what == "order" else names[:1])]
        protected = next((row for row in rows if row.protected), rows[0])
        actor = self.actor(Verb.MANAGE_ENVIRONMENTS, protected)
        if what == "order":
            return self.told(registry.order_environments(actor=actor, environments=rows))
        if what == "rename":
            return self.told([registry.rename_environment(actor=actor, environment=rows[0], name=names[1])])
        if what == "retire":
            return self.told([registry.retire_environment(actor=actor, environment=rows[0], reason=options["reason"])])
        registry.delete_environment(actor=actor, environment=rows[0])
        self.say(f"{rows[0]} is deleted.")
        return self.told([])

    def add(self, text: str, approvals: int | None) -> int:
        """One more, for the application that is named with it."""
        application, name = selectors.read_path(text)
        if not application:
            raise InvalidRequest(
                f"{text!r} names no application.", hint=f"For example `manage.py environments add my-bot/{text}`."
            )
        made = registry.add_environment(
            actor=self.actor(Verb.MANAGE_ENVIRONMENTS), application=application, name=name, approvals=approvals
        )
        self.told([made])
        self.say(f"Next: manage.py enroll NAME --environment {made} --host …")
        return 0

    def told(self, rows: list[Environment]) -> int:
        """One line each, or one document."""
        if self.as_json:
            self.emit({"environments": [_document(row) for row in rows]})
        for row in rows:
            said = _document(row)
            servers = ", ".join(said["servers"]) or "no servers"
            state = "retired" if row.retired else f"{row.approvals_required} approvals"
            self.say(f"{row!s:32} {row.application or 'no application yet':20} {state:12} {servers}")
            if row.locked:
                self.say(f"    {locked_sentence(row)}")
        return 0


def _document(row: Environment) -> dict[str, Any]:
    return {
        "environment": str(row),
        "application": row.application,
        "name": row.name,
        "order": row.order,
        "approvals_required": row.approvals_required,
        "releases_from": row.releases_from,
        "retired": row.retired,
        "locked": row.locked,
        "locked_until": row.lock_until if row.locked else None,
        "servers": [server.name for server in row.servers.all() if server.state != Server.State.RETIRED],
    }
