"""Incidents on the terminal: what people are told while something is wrong."""

from argparse import ArgumentParser
from typing import Any

from alerting import selectors as alerts
from alerting.incidents.recording import Said, open_incident, update_incident
from alerting.incidents.selectors import MOST, incidents
from alerting.models import Incident
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.selectors import environment_named, server_named
from deployments.management.base import PortalCommand
from deployments.management.numbers import RECORD
from engine.errors import InvalidRequest, NotFound

_ROW = "{:>6}  {:<14}  {:<8}  {:<8}  {}"


class Command(PortalCommand):
    """`incident [list | open TITLE | update N | resolve N]`."""

    help = "List incidents, open one, add an update or resolve one. Without a word: those that are open."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, to which, and what is said."""
        parser.add_argument("what", nargs="?", default="list", choices=("list", "open", "update", "resolve"))
        parser.add_argument("about", nargs="?", default="", metavar="TITLE|N", help="open: title; else its number")
        parser.add_argument("--text", default="", help="what people should know; needed")
        parser.add_argument("--state", default="", choices=("", *Incident.State.values), help="how far you are")
        parser.add_argument("--severity", default="", choices=("", *Incident.Severity.values), help="open: needed")
        parser.add_argument(
            "--environment", action="append", default=[], metavar="E", help="open: affected; repeatable"
        )
        parser.add_argument("--server", action="append", default=[], metavar="NAME", help="open: affected; repeatable")
        parser.add_argument("--alert", type=RECORD, metavar="N", help="open: the alert that it is about")
        seen = parser.add_mutually_exclusive_group()
        seen.add_argument("--public", action="store_true", default=None, help="show it to everybody")
        seen.add_argument("--private", dest="public", action="store_false", help="show it to members only")
        parser.add_argument("--all", action="store_true", help=f"list: the newest {MOST}, resolved ones too")

    def run(self, options: dict[str, Any]) -> int:
        """Do it, then say how it stands."""
        what = options["what"]
        state = Incident.State.RESOLVED.value if what == "resolve" else options["state"]
        said = Said(options["text"], state, options["severity"], options["public"])
        if what == "list":
            self._told(self._listed(options["all"]))
        elif what == "open":
            self._told([self._open(options, said)])
        else:
            row = _numbered(options["about"])
            protected = next((one for one in _homes(row) if one.protected), None)
            actor = self.actor(Verb.MANAGE_INCIDENTS, protected)
            self._told([update_incident(actor=actor, incident=row, said=said)])
        return 0

    def _listed(self, everything: bool) -> list[Incident]:
        require(self.actor(Verb.VIEW), Verb.VIEW)
        rows = incidents(members=True)
        return list((rows if everything else rows.filter(resolved_at=None))[:MOST])

    def _open(self, options: dict[str, Any], said: Said) -> Incident:
        environments = [environment_named(name) for name in options["environment"]]
        servers = [server_named(name) for name in options["server"]]
        alert = alerts.numbered(options["alert"]) if options["alert"] else None
        if options["alert"] and alert is None:
            raise NotFound(f"There is no alert {options['alert']}.", hint="`alerts` lists what fires.")
        homes = [*environments, *(server.environment for server in servers)]
        actor = self.actor(Verb.MANAGE_INCIDENTS, next((one for one in homes if one.protected), None))
        return open_incident(
            actor=actor, title=options["about"], said=said, environments=environments, servers=servers, alert=alert
        )

    def _told(self, rows: list[Incident]) -> None:
        if self.as_json:
            self.emit([_document(row) for row in rows])
        if not rows:
            self.say("No incident is open.")
            return
        self.say(_ROW.format("NUMBER", "STATE", "SEVERITY", "SHOWN TO", "TITLE"))
        for row in rows:
            shown = "all" if row.public else "members"
            about = f" ({row.affected})" if row.affected else ""
            self.say(_ROW.format(row.pk, row.state, row.severity, shown, f"{row.title}{about}"))


def _numbered(text: str) -> Incident:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0
    row = incidents(members=True).filter(pk=number).first()
    if row is None:
        if not number:
            raise InvalidRequest("Which incident?", hint='incident update 3 --text "CyTube answers again"')
        raise NotFound(f"There is no incident {number}.", hint="`incident list --all` lists them.")
    return row


def _homes(row: Incident) -> list[Any]:
    return [*row.environments.all(), *(one.environment for one in row.servers.select_related("environment"))]


def _document(row: Incident) -> dict[str, Any]:
    return {
        "number": row.pk,
        "title": row.title,
        "severity": row.severity,
        "state": row.state,
        "public": row.public,
        "environments": [str(one) for one in row.environments.all()],
        "servers": [one.name for one in row.servers.all()],
        "opened_at": row.opened_at,
        "resolved_at": row.resolved_at,
    }
