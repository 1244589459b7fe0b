"""Run one command as an application's account."""

import sys
from argparse import PARSER, ArgumentParser
from typing import Any

from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.management.numbers import SECONDS as WAIT
from deployments.management.operating import servers_of
from deployments.management.waiting import INTERRUPTED_BY_KEYBOARD
from deployments.operations.carrying_out import carry_out
from deployments.operations.one_off import SECONDS, OneOffCommand, run_command
from engine.errors import InvalidRequest


class Command(PortalCommand):
    """`run E -- COMMAND`."""

    help = "Run one command as the application's account, with what its unit is given; ends with its own code."

    def arguments(self, parser: ArgumentParser) -> None:
        """Where, what, and for how long at most."""
        parser.add_argument("environment")
        parser.add_argument("--server", metavar="NAME", help="on this server of it; needed where there are several")
        parser.add_argument("--unit", default="", metavar="UNIT", help="with what this service is given (the first)")
        parser.add_argument("--timeout", type=WAIT, default=SECONDS, metavar="S", help="end it after S seconds (300)")
        parser.add_argument("--reason", default="", help="kept in the audit trail")
        parser.add_argument("command", nargs=PARSER, metavar="-- COMMAND", help="the words of the command")

    def run(self, options: dict[str, Any]) -> int:
        """Prints what it prints as it comes; Ctrl-C ends it, here and on the server."""
        environment = selectors.environment_named(options["environment"])
        actor = self.actor(Verb.RUN, environment)
        command = options["command"]
        [server, *more] = servers_of(environment, options["server"])
        if more:
            raise InvalidRequest("A command runs on one server.", hint="Name it with --server.", reason="which_server")
        row = run_command(
            actor=actor,
            server=server,
            wanted=OneOffCommand(command[command[:1] == ["--"] :], options["unit"], options["timeout"]),
            reason=options["reason"],
            queued=False,
        )
        try:
            row = carry_out(number=row.pk, say=self._print)
        except KeyboardInterrupt:
            self.stderr.write("Broken off; the server ends the command as soon as it hears nothing of us.")
            return INTERRUPTED_BY_KEYBOARD
        if self.as_json:
            self.emit(
                {
                    "number": row.pk,
                    "state": row.state,
                    "outcome": row.outcome,
                    "sentence": row.sentence,
                    "exit": row.facts.get("exit"),
                    "output": row.output,
                }
            )
        elif row.exit_code:
            self.stderr.write(row.sentence)
        return row.exit_code

    def _print(self, line: str) -> None:
        self.say(line)
        sys.stdout.flush()
