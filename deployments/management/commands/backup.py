"""Back the portal up: database, artifacts and keys in one sealed file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from deployments.access.verbs import Verb
from deployments.backup.backups import make_backup
from deployments.management import passphrase
from deployments.management.base import PortalCommand
from deployments.management.numbers import Whole


class Command(PortalCommand):
    """`backup [--to DIR] [--passphrase-file FILE] [--keep N]`."""

    help = (
        "Write database, artifacts and keys into one file that only its passphrase opens; the portal goes on working."
    )

    def arguments(self, parser: ArgumentParser) -> None:
        """Where to, and what opens it."""
        parser.add_argument("--to", type=Path, default=settings.BACKUP_DIR, help="directory (default: %(default)s)")
        parser.add_argument(
            "--keep",
            type=Whole(1, 10_000),
            default=settings.BACKUP_KEEP,
            help="how many stay there (default: %(default)s)",
        )
        passphrase.add_argument(parser)

    def run(self, options: dict[str, Any]) -> int:
        """Make it, and say where it is."""
        made = make_backup(
            actor=self.actor(Verb.BACK_UP),
            directory=options["to"],
            passphrase=passphrase.read(options),
            keep=options["keep"],
        )
        if self.as_json:
            self.emit({"file": str(made.path), "size": made.size, "sha256": made.sha256, "seconds": made.seconds})
        self.say(f"{made.path}: {made.size / 1e6:.1f} MB, {made.rows} rows and {made.artifacts} artifacts.")
        self.say("Keep a copy on another machine, and its passphrase apart from it: without that nobody opens it.")
        return 0
