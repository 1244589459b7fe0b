"""Build an immutable release from a tree that has a deploy.toml."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand
from deployments.releases.artifacts import write_whole
from deployments.releases.builds import brought_here, build_release


class Command(PortalCommand):
    """`build_release [--source DIR|URL] [--ref REF] [--by-commit] [--into DIR]`."""

    help = "Build a release from a directory or git ref that has a deploy.toml."

    def arguments(self, parser: ArgumentParser) -> None:
        """Source and ref, and where the artifact is wanted."""
        parser.add_argument(
            "--source",
            default=str(settings.BASE_DIR),
            help="a directory (default: this project), or https://HOST/OWNER/NAME.git",
        )
        parser.add_argument("--ref", help="a commit, tag or branch (default: the directory as it is)")
        parser.add_argument("--by-commit", action="store_true", help="its version is VERSION+gCOMMIT")
        parser.add_argument("--into", type=Path, metavar="DIR", help="put the artifact there too, as one file")

    def run(self, options: dict[str, Any]) -> int:
        """Build and store."""
        actor = self.actor(Verb.ADD_RELEASE)
        with brought_here(options["source"], options["ref"]) as source:
            release, new = build_release(actor=actor, source=source, ref=options["ref"], by_commit=options["by_commit"])
        artifact = write_whole(release, options["into"]) if options["into"] else None
        if self.as_json:
            self.emit(
                {
                    "release": release.identifier,
                    "version": release.version,
                    "new": new,
                    "manifest_digest": release.manifest_digest,
                    "artifact_digest": release.artifact_digest,
                    "files": release.files,
                    "bytes": release.size,
                    "commit": release.commit,
                    "tag": release.tag,
                    "artifact": str(artifact) if artifact else None,
                }
            )
        elif new:
            self.say(f"Built {release.identifier}: {release.files} files, {release.size / 1e6:.1f} MB.")
        else:
            self.say(f"{release.identifier} was built before from the same tree; nothing to do.")
        if artifact:
            self.say(f"The artifact is {artifact}.")
        return 0
