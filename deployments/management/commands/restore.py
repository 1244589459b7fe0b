"""Put a backup of the portal back."""

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deployments.backup.restoring import FENCE_STEP, restore_backup
from deployments.core.actors import shell_actor
from deployments.management import passphrase
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`restore FILE [--replace] [--passphrase-file FILE]`."""

    help = "Make this portal what a backup says it was. Stop the portal first."

    def arguments(self, parser: ArgumentParser) -> None:
        """Which backup, and whether it may take the place of what is there."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="even though this portal has a history")
        passphrase.add_argument(parser)

    def takes_any_keys(self, options: dict[str, Any]) -> bool:
        """The backup brings its own."""
        return True

    def run(self, options: dict[str, Any]) -> int:
        """Restore, and tell what was found; 1 when something in it is not as it was."""
        # who holds the machine, the file and its passphrase; there may be no account yet that could sign in
        restored = restore_backup(
            actor=shell_actor("restore"),
            path=options["file"],
            passphrase=passphrase.read(options),
            replace=options["replace"],
        )
        if self.as_json:
            self.emit(asdict(restored))
        self.say(
            f"Restored what was there at {restored.made_at} (version {restored.version}): {restored.rows} rows, "
            f"{restored.events} audit events, {restored.secrets} secrets."
        )
        self.say(f"Fences were raised by {FENCE_STEP}, so that no server takes this portal for an outdated one.")
        if restored.cancelled:
            numbers = ", ".join(map(str, restored.cancelled))
            self.say(f"Cancelled, because they were queued then and may have run since: {numbers}.")
        for problem in restored.problems:
            self.say(f"Not as it was: {problem}")
        if not restored.problems:
            self.say("Row counts, the audit trail and the secrets are as they were.")
        return 1 if restored.problems else 0
