"""Read what an environment's services write."""

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.moments import moment
from deployments.management.base import PortalCommand
from deployments.management.numbers import COUNT
from deployments.management.operating import servers_of
from deployments.operations.journal import LEVELS, Line, LogQuery, follow, read
from engine.errors import InvalidRequest

INTERRUPTED = 130


class Command(PortalCommand):
    """`logs E`."""

    help = "Read the journal of the units that run there, or follow it until Ctrl-C."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, and which lines."""
        parser.add_argument("environment")
        parser.add_argument("--server", metavar="NAME", help="only this server of it")
        parser.add_argument("--unit", action="append", default=[], metavar="UNIT", help="only this unit; repeatable")
        parser.add_argument("-f", "--follow", action="store_true", help="go on with what is written; one server")
        parser.add_argument("--since", default="", metavar="T", help="30m, 2h, 3d, or a date and time (UTC)")
        parser.add_argument("--grep", default="", metavar="TEXT", help="only lines with this text, whatever its case")
        parser.add_argument("--level", default="debug", choices=LEVELS, help="only of this level, or graver")
        parser.add_argument("--lines", type=COUNT, default=200, metavar="N", help="the newest N (default 200)")

    def run(self, options: dict[str, Any]) -> int:
        """Prints lines; Ctrl-C ends it, here and on the server."""
        environment = selectors.environment_named(options["environment"])
        actor = self.actor(Verb.READ_JOURNAL, environment)
        wanted = LogQuery(
            units=options["unit"],
            since=moment(options["since"], timezone.now()),
            grep=options["grep"],
            level=options["level"],
            lines=options["lines"],
        )
        servers = servers_of(environment, options["server"])
        if options["follow"] and (len(servers) > 1 or self.as_json):
            raise InvalidRequest("Only one server is followed, and not as JSON.", hint="Name it with --server.")
        try:
            if options["follow"]:
                follow(actor=actor, server=servers[0], wanted=wanted, say=self._follow)
                return 0
            found = {server.name: read(actor=actor, server=server, wanted=wanted) for server in servers}
        except KeyboardInterrupt:
            return INTERRUPTED
        if self.as_json:
            self.emit({name: [asdict(line) for line in lines] for name, lines in found.items()})
        for name, lines in found.items():
            for line in lines:
                self.say(f"{name} {line}" if len(found) > 1 else str(line))
        return 0

    def _follow(self, line: Line) -> None:
        self.say(str(line))
        sys.stdout.flush()
