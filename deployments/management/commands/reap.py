"""Settle deployments whose worker died."""

from argparse import ArgumentParser
from typing import Any

from deployments.execution.reaper import reap
from deployments.management.base import PortalCommand
from deployments.management.numbers import SECONDS
from deployments.models import Deployment


class Command(PortalCommand):
    """`reap [--wait S]`."""

    help = "Settle deployments whose worker died, by asking their servers what is true."

    def arguments(self, parser: ArgumentParser) -> None:
        """How long to ask."""
        parser.add_argument(
            "--wait", type=SECONDS, default=0.0, metavar="S", help="ask a server that still works on one for S seconds"
        )

    def run(self, options: dict[str, Any]) -> int:
        """One line per settled deployment."""
        settled = reap(timeout=options["wait"])
        rows = Deployment.objects.filter(pk__in=settled).select_related("release", "environment")
        if self.as_json:
            self.emit([{"deployment": row.pk, "status": row.status, "sentence": row.sentence} for row in rows])
        for row in rows:
            self.say(f"{row}: {row.get_status_display().lower()}. {row.sentence}")
        if not settled:
            self.say("Nothing to settle.")
        return 0
