"""What takes the room in the portal, why, and letting go of what nothing needs."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from dashboard.models import Sample
from dashboard.services import samples
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand
from deployments.storage import tidying, unpacking, usage
from deployments.storage.usage import Usage


class Command(PortalCommand):
    """`storage [prune [--dry-run] | unpack]`."""

    help = "Say what takes the room in the portal, what keeps it, and let go of what nothing needs."

    def arguments(self, parser: ArgumentParser) -> None:
        """What to do; nothing: say how it stands."""
        parser.add_argument("what", nargs="?", choices=("show", "prune", "unpack"), default="show")
        parser.add_argument("--dry-run", action="store_true", help="prune: only say what would go")

    def run(self, options: dict[str, Any]) -> int:
        """Show, prune or unpack."""
        if options["what"] == "unpack":
            return self.unpack()
        return self.show() if options["what"] == "show" else self.prune(dry_run=options["dry_run"])

    def show(self) -> int:
        """One line for each kind, then each artifact that something needs, then what pruning would free."""
        actor = self.actor(Verb.VIEW)
        of_bots = Usage("samples", Sample.objects.count(), None, "2 hours to 800 days, by their length")
        kinds = [*usage.usage(actor=actor), of_bots]
        kept = usage.kept(actor=actor)
        if self.as_json:
            self.emit({"rooms": [asdict(one) for one in kinds], "artifacts": [asdict(one) for one in kept]})
            return 0
        for one in kinds:
            size = f"{one.bytes / 1e6:10.1f} MB" if one.bytes is not None else " " * 13
            self.say(f"{size}  {one.count:9} {' '.join(filter(None, (one.application, one.kind)))}: {one.bound}")
        self.say()
        for release in kept:
            why = "; ".join(release.reasons) or "nothing needs it: `storage prune` deletes it"
            self.say(f"{release.alone / 1e6:10.1f} MB of its own  {release.release}: {why}")
        return 0

    def prune(self, *, dry_run: bool) -> int:
        """Count, or delete; the nightly task does the same."""
        actor = self.actor(Verb.PRUNE)
        done = tidying.tidy(actor=actor, dry_run=dry_run)
        gone = samples.prune(timezone.now(), dry_run=dry_run)
        if self.as_json:
            self.emit({**asdict(done), "samples": gone, "dry_run": dry_run})
            return 0
        would = "would be " if dry_run else ""
        self.say(f"{done.bytes / 1e6:.1f} MB {would}freed, without the database's.")
        self.say(f"{done.taken_apart} artifacts {would}stored in parts that were in one piece.")
        for release in done.releases:
            self.say(f"artifact of {release} {would}deleted: nothing needs it")
        self.say(
            f"{would}deleted: {done.lines} lines of {done.logs} logs, {done.notifications} notifications, "
            f"{done.tasks} failed tasks, {gone} samples"
        )
        return 0

    def unpack(self) -> int:
        """Artifacts in one piece again."""
        actor = self.actor(Verb.PRUNE)
        require(actor, Verb.PRUNE)
        done = unpacking.unpack(actor=actor)
        self.emit({"unpacked": done}) if self.as_json else self.say(f"{len(done)} artifacts are in one piece again.")
        return 0
