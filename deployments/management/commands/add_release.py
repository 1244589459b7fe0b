"""Add a release that was built elsewhere."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand
from deployments.releases.uploads import add_artifact


class Command(PortalCommand):
    """`add_release FILE --sha256 D`."""

    help = "Add an artifact that build_release made on another machine; every file in it is checked."

    def arguments(self, parser: ArgumentParser) -> None:
        """The artifact, and the digest it must have."""
        parser.add_argument("artifact", type=Path, metavar="FILE")
        parser.add_argument("--sha256", required=True, metavar="D", help="of the file, as its builder gave it")

    def run(self, options: dict[str, Any]) -> int:
        """Check and store."""
        actor = self.actor(Verb.ADD_RELEASE)
        release, new = add_artifact(actor=actor, path=options["artifact"], sha256=options["sha256"])
        if self.as_json:
            self.emit({"release": release.identifier, "version": release.version, "new": new})
        self.say(f"{release.identifier} is {'added' if new else 'here already'}: {release.files} files.")
        return 0
