"""Alerts on the terminal: what fires, and what is done about it."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.utils import timezone

from alerting import selectors
from alerting.actions import ACTIONS, act
from alerting.models import Alert
from alerting.selectors import Filter, Shown, shown
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand
from deployments.management.numbers import COUNT, RECORD
from engine.errors import InvalidRequest, NotFound

_ROW = "{:>7}  {:<12}  {:<10}  {:<20}  {:<14}  {}"


class Command(PortalCommand):
    """`alerts [list | acknowledge N… | snooze N… | withdraw N… | assign N… --to NAME]`."""

    help = "List alerts, acknowledge, snooze or assign them. Without a word: what fires now."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, to which, and which to list."""
        parser.add_argument("what", nargs="?", default="list", choices=("list", *ACTIONS))
        parser.add_argument("alert", nargs="*", type=RECORD, help="numbers of alerts")
        parser.add_argument("--comment", default="", help="who does what about it; an acknowledgement needs one")
        parser.add_argument("--for", dest="minutes", type=COUNT, default=60, metavar="MINUTES", help="how long (60)")
        parser.add_argument("--to", default="", metavar="NAME", help="assign: to whom; without it to nobody")
        parser.add_argument("--status", default="firing", choices=tuple(selectors.STATUSES), help="list: which")
        parser.add_argument("--severity", default="", choices=("", *selectors.SEVERITIES), help="list: of which")
        parser.add_argument("--environment", default="", help="list: where")
        parser.add_argument("--assignee", default="", metavar="NAME", help="list: whose")

    def run(self, options: dict[str, Any]) -> int:
        """List, or act on each one that is named; what is refused ends it, and says which was done before."""
        rows = self._listed(options) if options["what"] == "list" else self._acted(options)
        if self.as_json:
            self.emit([_document(one) for one in rows])
            return 0
        if not rows:
            self.say("Nothing fires." if options["status"] == "firing" else "There is no such alert.")
            return 0
        self.say(_ROW.format("NUMBER", "STATE", "SEVERITY", "ALERT", "ENVIRONMENT", "SUMMARY"))
        for one in rows:
            row = one.alert
            whom = f" (assigned to {row.assignee.username})" if row.assignee else ""
            place = str(row.environment or "-")
            self.say(_ROW.format(row.pk, one.state, row.severity or "-", row.name, place, f"{row.summary}{whom}"))
        return 0

    def _listed(self, options: dict[str, Any]) -> list[Shown]:
        actor = self.actor(Verb.VIEW)
        require(actor, Verb.VIEW)
        wanted = Filter(
            environment=options["environment"],
            severity=options["severity"],
            status=options["status"],
            assigned=options["assignee"] and selectors.ME,
        )
        return selectors.page(wanted, timezone.now(), options["assignee"]).rows

    def _acted(self, options: dict[str, Any]) -> list[Shown]:
        if not options["alert"]:
            raise InvalidRequest("No alert was named.", hint='alerts acknowledge 12 --comment "on it"')
        alerts = [_numbered(number) for number in options["alert"]]
        lasting, comment, to = timedelta(minutes=options["minutes"]), options["comment"], options["to"]
        for alert in alerts:
            actor = self.actor(Verb.ACKNOWLEDGE, alert.environment)
            act(options["what"], actor=actor, alert=alert, lasting=lasting, comment=comment, to=to)
        return shown([_numbered(alert.pk) for alert in alerts], timezone.now())


def _numbered(number: int) -> Alert:
    alert = selectors.numbered(number)
    if alert is None:
        raise NotFound(f"There is no alert {number}.", hint="`alerts` lists what fires.")
    return alert


def _document(one: Shown) -> dict[str, Any]:
    row = one.alert
    return {
        "number": row.pk,
        "name": row.name,
        "severity": row.severity,
        "state": one.state,
        "environment": str(row.environment) if row.environment else None,
        "server": row.server.name if row.server else None,
        "summary": row.summary,
        "assignee": row.assignee.username if row.assignee else None,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
    }
