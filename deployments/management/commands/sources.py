"""Repositories that tell of pushes: list, make and end them, and what became of each push."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.management.base import PortalCommand
from deployments.models import Push, PushSource
from deployments.sources.registry import address_of, end_source, make_source, source_named
from engine.errors import InvalidRequest

SHOWN = 20


class Command(PortalCommand):
    """`sources [list] | add NAME --kind K --url URL --ref REF --environment E | end NAME | pushes [NAME]`."""

    help = "List, make or end the repositories that tell of pushes, or list what was pushed."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do, and about which."""
        parser.add_argument("what", nargs="?", choices=("list", "add", "end", "pushes"), default="list")
        parser.add_argument("name", nargs="?", default="", metavar="NAME")
        parser.add_argument("--kind", choices=PushSource.Kind.values, default="github", help="add: whose webhook it is")
        parser.add_argument("--url", default="", help="add: where it is fetched from, https://HOST/OWNER/NAME.git")
        parser.add_argument("--ref", default="refs/heads/main", help="add: refs/heads/main, or refs/tags/v*")
        parser.add_argument("--environment", default="", metavar="E", help="add: what follows it")
        parser.add_argument("--access-token-file", type=Path, metavar="FILE", help="add: for a private repository")

    def run(self, options: dict[str, Any]) -> int:
        """Do it."""
        what, name = options["what"], options["name"]
        if what in ("add", "end") and not name:
            raise InvalidRequest(f"`sources {what}` takes a name.", reason="usage")
        if what == "add":
            return self.add(options)
        if what == "end":
            source = source_named(name)
            end_source(actor=self.actor(Verb.MANAGE_TOKENS, source.environment), source=source)
            self.say(f"{source} takes no push any more.")
            return self.listed([source_named(name)])
        require(self.actor(Verb.VIEW), Verb.VIEW)
        if what == "pushes":
            return self.pushes(name)
        return self.listed([source_named(name)] if name else list(PushSource.objects.select_related("environment")))

    def add(self, options: dict[str, Any]) -> int:
        """Make one, and print its secret this once."""
        environment = selectors.environment_named(options["environment"])
        source = make_source(
            actor=self.actor(Verb.MANAGE_TOKENS, environment),
            environment=environment,
            name=options["name"],
            kind=options["kind"],
            url=options["url"],
            ref=options["ref"],
            access_token=_token_in(options["access_token_file"]),
        )
        secret = str.__str__(source.secret)
        if self.as_json:
            self.emit({**_document(source), "secret": secret})
        self.say(f"{environment} follows {source.ref} of {source.url}.")
        self.say(f"Add a webhook for pushes to {address_of(source)}, as application/json.")
        self.say("Its secret, shown this once:")
        self.say(secret)
        return 0

    def listed(self, rows: list[PushSource]) -> int:
        """One line each, or one document."""
        if self.as_json:
            self.emit({"sources": [_document(row) for row in rows]})
        for row in rows:
            state = "ended" if row.ended_at else row.kind
            self.say(f"{row.name:24} {state:8} {row.environment!s:20} {row.ref:24} {row.url}")
        return 0

    def pushes(self, name: str) -> int:
        """The newest ones."""
        rows = Push.objects.select_related("source", "release")
        rows = rows.filter(source=source_named(name)) if name else rows
        if self.as_json:
            self.emit({"pushes": [_told(row) for row in rows[:SHOWN]]})
        for row in rows[:SHOWN]:
            what = f"{row.source!s:16} {row.ref:24} {row.commit[:10]}"
            self.say(f"{row.received_at:%Y-%m-%d %H:%M} {what} {row.state:10} {row.sentence}")
        return 0


def _token_in(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} cannot be read.", hint="Name a file with the token alone.") from error


def _document(row: PushSource) -> dict[str, Any]:
    return {
        "source": row.name,
        "kind": row.kind,
        "url": row.url,
        "ref": row.ref,
        "environment": str(row.environment),
        "address": address_of(row),
        "ended_at": row.ended_at,
    }


def _told(row: Push) -> dict[str, Any]:
    return {
        "push": row.pk,
        "source": row.source.name,
        "ref": row.ref,
        "commit": row.commit,
        "pushed_by": row.pushed_by,
        "state": row.state,
        "sentence": row.sentence,
        "release": row.release.identifier if row.release else None,
        "deployment": row.deployment_id,
        "received_at": row.received_at,
    }
