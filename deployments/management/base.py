"""What every management command of ours shares: who acts, how errors end, and plain, JSON or live output."""

import getpass
import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError

from deployments.access import tokens
from deployments.access.policy import may, token_actor, user_actor
from deployments.access.sign_ins import sign_in_at_terminal
from deployments.access.verbs import Verb
from deployments.core import portal_keys, unmigrated
from deployments.core.actors import Actor, shell_actor
from deployments.core.hidden_characters import visible, visible_json
from engine.errors import InvalidRequest, NotAllowed, PortalError

TOKEN_VARIABLE = "PORTAL_TOKEN"  # noqa: S105  (the name of a variable)


class PortalCommand(BaseCommand):
    """A command that ends with a documented exit code and one clear sentence; subclasses implement `run`."""

    requires_system_checks: list[str] = []  # noqa: RUF012  (Django's attribute)
    output_transaction = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser with our `--json`."""
        parser: CommandParser = super().create_parser(prog_name, subcommand, **kwargs)
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--json` for all; subclasses add theirs in `arguments`."""
        parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        self.arguments(parser)

    def arguments(self, parser: ArgumentParser) -> None:
        """The command's own arguments."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and turn expected errors into their sentence and exit code."""
        self.as_json: bool = options["json"]
        with self.expected_errors():
            _refuse_bytes(options)
            if not self.takes_any_keys(options):
                portal_keys.require_same()
            code = self.run(options)
        if code:
            sys.exit(code)

    def takes_any_keys(self, options: dict[str, Any]) -> bool:
        """Whether it runs although this process has other keys than the portal's history: what mends just that."""
        return False

    def run(self, options: dict[str, Any]) -> int:
        """Do the work; returns the exit code."""
        raise NotImplementedError

    @contextmanager
    def expected_errors(self) -> Iterator[None]:
        """PortalError, also for a database without its tables → CommandError with its exit code, or JSON when asked."""
        try:
            yield
        except PortalError as error:
            self._refuse(error)
        except DatabaseError as error:
            if (unready := unmigrated.refusal()) is None:
                raise
            self._refuse(unready, error)

    def _refuse(self, error: PortalError, cause: Exception | None = None) -> NoReturn:
        if self.as_json:
            self.emit({"error": error.reason, "code": error.id, "sentence": error.message, "hint": error.hint})
            sys.exit(error.exit_code)
        if getattr(self, "_called_from_command_line", False):
            self.stderr.write(visible(error.said))  # the sentence alone, without the name of a class
            sys.exit(error.exit_code)
        raise CommandError(visible(error.said), returncode=error.exit_code) from cause or error

    def emit(self, document: Any) -> None:
        """Print one JSON document."""
        self.stdout.write(visible_json(json.dumps(document, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)))

    def terminal(self) -> TextIO:
        """The stream under Django's wrapper, so that rich can tell whether it is a terminal."""
        stream: TextIO = getattr(self.stdout, "_out", sys.stdout)
        return stream

    def say(self, line: str = "") -> None:
        """Print a line for people; silent with --json."""
        if not self.as_json:
            self.stdout.write(visible(line))

    def actor(self, verb: Verb, environment: Any = None) -> Actor:
        """Who acts: the owner of PORTAL_TOKEN(_FILE), else the login on the shell, else a person who signs in.

        A password is asked for only on a terminal, and only where the shell alone may not act.
        """
        if text := _token_text():
            token = tokens.authenticate(text)
            if token is None:
                raise NotAllowed(
                    "The token is unknown, revoked or expired.", hint="Ask an administrator for a new one."
                )
            return token_actor(token)
        shell = shell_actor(getpass.getuser())
        if may(shell, verb, environment) or not sys.stdin.isatty():
            return shell
        self.stderr.write("This needs a person. Sign in:")
        self.stderr.write("User name: ", ending="")  # standard output may be a pipe
        self.stderr.flush()
        name = input()
        password = getpass.getpass("Password: ")
        person = sign_in_at_terminal(username=name, password=password, login=shell.name, ask_code=_ask_code)
        return user_actor(person)


def _ask_code() -> str:
    return getpass.getpass("Code of your authenticator app, or a recovery code: ")


def _token_text() -> str:
    if text := os.environ.get(TOKEN_VARIABLE, ""):
        return text
    if path := os.environ.get(f"{TOKEN_VARIABLE}_FILE", ""):
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise InvalidRequest(f"{TOKEN_VARIABLE}_FILE cannot be read: {error.strerror}.") from error
    return ""


def _refuse_bytes(options: dict[str, Any]) -> None:
    """Raise InvalidRequest for an argument that is no text: nothing can keep, compare or show it as it was typed."""
    for name, given in options.items():
        for one in given if isinstance(given, list | tuple) else [given]:
            if isinstance(one, str | Path) and any("\ud800" <= character <= "\udfff" for character in str(one)):
                raise InvalidRequest(f"What was given for {name} is no text in UTF-8.", hint="Write it in UTF-8.")
