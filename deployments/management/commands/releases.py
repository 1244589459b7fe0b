"""List the releases."""

from typing import Any

from deployments.management.base import PortalCommand
from deployments.models import Release


class Command(PortalCommand):
    """`releases`."""

    help = "List the releases, newest first."

    def run(self, options: dict[str, Any]) -> int:
        """One line, or one JSON object, per release."""
        rows = Release.objects.defer("change_log").prefetch_related("current_on")
        if self.as_json:
            self.emit(
                [
                    {
                        "release": release.identifier,
                        "name": release.name,
                        "version": release.version,
                        "commit": release.commit,
                        "built_at": release.built_at,
                        "builder": release.builder,
                        "bytes": release.size,
                        "runs_on": [server.name for server in release.current_on.all()],
                        "quarantine": release.quarantine_reason if release.quarantined else None,
                    }
                    for release in rows
                ]
            )
            return 0
        if not rows:
            self.say("No release has been built yet. Run `manage.py build_release`.")
        for release in rows:
            where = ", ".join(server.name for server in release.current_on.all())
            notes = [f"runs on {where}" if where else "", "in quarantine" if release.quarantined else ""]
            self.say(
                f"{release.identifier:30} {release.built_at:%Y-%m-%d %H:%M} {release.size / 1e6:7.1f} MB  "
                + "; ".join(note for note in notes if note)
            )
        return 0
