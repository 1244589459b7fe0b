"""Verify or export the audit trail."""

from argparse import ArgumentParser
from typing import Any

from deployments.access import export
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail, verification
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`audit verify [--head SEQUENCE:HASH] [--new] | audit export`."""

    help = "Verify the hash chain of the audit trail, or export it as JSON lines."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument("what", choices=("verify", "export"))
        parser.add_argument(
            "--head",
            metavar="SEQUENCE:HASH",
            help="verify: a head kept elsewhere (a notification, an export); shows a cut tail and a rewritten chain",
        )

        parser.add_argument(
            "--new",
            action="store_true",
            help="verify: only what has followed the last whole verification on this machine",
        )

    def run(self, options: dict[str, Any]) -> int:
        """Verify (1 when something is wrong) or export."""
        return self.verify(options["head"], only_new=options["new"]) if options["what"] == "verify" else self.export()

    def verify(self, given: str | None, *, only_new: bool) -> int:
        """Name every event that was altered, is missing, was put in or moved."""
        actor = self.actor(Verb.READ_AUDIT)
        require(actor, Verb.READ_AUDIT)
        known = trail.Head.parse(given) if given else None
        head = trail.head()
        if only_new:
            problems, since = verification.verify_new(known_head=known)
        else:
            problems, since = verification.verify(actor=actor, known_head=known), None
        if self.as_json:
            self.emit(
                {
                    "whole": not problems,
                    "verified_from": since.sequence + 1 if since else 1,
                    "head": str(head),
                    "problems": [{"sequence": found.sequence, "sentence": found.sentence} for found in problems],
                }
            )
            return 1 if problems else 0
        for found in problems:
            self.stderr.write(found.sentence)
        if not problems:
            among = ", and the head you gave is among them" if given else ""
            self.say(f"{_whole(head, since)}{among}.")
        self.say(f"Head {head}")
        return 1 if problems else 0

    def export(self) -> int:
        """JSON lines on standard output, the head last; the export is an event itself."""
        for line in export.export(actor=self.actor(Verb.EXPORT_AUDIT)):
            self.stdout.write(line)
        return 0


def _whole(head: trail.Head, since: trail.Head | None) -> str:
    if since is None:
        return f"The chain is whole: {head.sequence} events, each following the one before it"
    return (
        f"What follows event {since.sequence}, up to which the chain was whole before, is whole: "
        f"{head.sequence - since.sequence} events (earlier ones were not looked at)"
    )
