"""Verify or export the audit trail."""

from argparse import ArgumentParser
from typing import Any

from deployments.access import export
from deployments.access.policy import require
from deployments.audit import trail
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`audit verify [--head SEQUENCE:HASH] | audit export`."""

    help = "Verify the hash chain of the audit trail, or export it as JSON lines."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do."""
        parser.add_argument("what", choices=("verify", "export"))
        parser.add_argument(
            "--head",
            metavar="SEQUENCE:HASH",
            help="verify: a head kept elsewhere (a notification, an export); shows a cut tail and a rewritten chain",
        )

    def run(self, options: dict[str, Any]) -> int:
        """Verify (1 when something is wrong) or export."""
        return self.verify(options["head"]) if options["what"] == "verify" else self.export()

    def verify(self, given: str | None) -> int:
        """Name every event that was altered, is missing, was put in or moved."""
        require(self.actor("read_audit"), "read_audit")
        problems = trail.verify(trail.Head.parse(given) if given else None)
        head = trail.head()
        if self.as_json:
            self.emit(
                {
                    "whole": not problems,
                    "head": str(head),
                    "problems": [{"sequence": found.sequence, "sentence": found.sentence} for found in problems],
                }
            )
            return 1 if problems else 0
        for found in problems:
            self.stderr.write(found.sentence)
        if not problems:
            among = ", and the head you gave is among them" if given else ""
            self.say(f"The chain is whole: {head.sequence} events, each following the one before it{among}.")
        self.say(f"Head {head}")
        return 1 if problems else 0

    def export(self) -> int:
        """JSON lines on standard output, the head last; the export is an event itself."""
        for line in export.export(actor=self.actor("export_audit")):
            self.stdout.write(line)
        return 0
