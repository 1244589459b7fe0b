"""Maintenance windows on the terminal."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from alerting import maintenance
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.moments import moment
from deployments.core.selectors import environment_named
from deployments.management.base import PortalCommand
from deployments.models import Maintenance
from engine.errors import InvalidRequest, NotFound

_MOST = 50


class Command(PortalCommand):
    """`maintenance [list | plan E | end N]`."""

    help = "List maintenance windows, plan one, or end one early. Without a word: what is planned or under way."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, where, and when."""
        parser.add_argument("what", nargs="?", default="list", choices=("list", "plan", "end"))
        parser.add_argument("about", nargs="?", default="", metavar="E|N", help="plan: environment; end: its number")
        parser.add_argument("--title", default="", help="plan: what is done, for those who notice; needed")
        parser.add_argument("--from", dest="starts", default="", metavar="T", help="plan: 2h from now, or a time (UTC)")
        parser.add_argument("--until", default="", metavar="T", help="plan: the same, for its end; needed")
        parser.add_argument("--public", action="store_true", help="plan: tell everybody on the status page")
        parser.add_argument("--reason", default="", help="end: why; needed")

    def run(self, options: dict[str, Any]) -> int:
        """Do it, then say how it stands."""
        what, about, now = options["what"], options["about"], timezone.now()
        if what == "list":
            require(self.actor(Verb.VIEW), Verb.VIEW)
            rows = Maintenance.objects.filter(ended_at=None, ends_at__gt=now).select_related("environment")
            return self._told(list(rows.order_by("starts_at")[:_MOST]))
        if what == "plan":
            home = environment_named(about)
            made = maintenance.plan(
                actor=self.actor(Verb.LOCK, home),
                environment=home,
                title=options["title"],
                starts_at=moment(options["starts"], now, ahead=True),
                ends_at=moment(options["until"], now, ahead=True),
                public=options["public"],
            )
            return self._told([made])
        row = _numbered(about)
        actor = self.actor(Verb.LOCK, row.environment)
        return self._told([maintenance.end(actor=actor, window=row, reason=options["reason"])])

    def _told(self, rows: list[Maintenance]) -> int:
        now = timezone.now()
        if self.as_json:
            self.emit([_document(row) | {"state": row.word(now)} for row in rows])
        for row in rows:
            times = f"{row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M} UTC"
            self.say(f"{row.pk:>5}  {row.word(now):10}  {row.environment!s:20}  {times}  {row.title}")
        if not rows:
            self.say("No maintenance is planned.")
        return 0


def _numbered(text: str) -> Maintenance:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0
    row = Maintenance.objects.select_related("environment").filter(pk=number).first()
    if row is None:
        if not number:
            raise InvalidRequest("Which maintenance?", hint='maintenance end 3 --reason "it went quicker"')
        raise NotFound(f"There is no maintenance {number}.", hint="`maintenance` lists what is planned.")
    return row


def _document(row: Maintenance) -> dict[str, Any]:
    return {
        "number": row.pk,
        "environment": str(row.environment),
        "title": row.title,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "ended_at": row.ended_at,
        "public": row.public,
    }
