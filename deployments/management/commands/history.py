"""What was deployed, when, by whom, and how it ended."""

from argparse import ArgumentParser
from typing import Any

from django.db.models import OuterRef, Subquery

from deployments.core import selectors
from deployments.core.texts import spoken
from deployments.lifecycle import Kind, Status
from deployments.management.base import PortalCommand
from deployments.management.describing import describe, described
from deployments.management.numbers import COUNT
from deployments.models import Deployment, Release


class Command(PortalCommand):
    """`history [E] [--format table|json|changelog]`."""

    help = "List deployments, newest first."

    def arguments(self, parser: ArgumentParser) -> None:
        """Environment, format and length."""
        parser.add_argument("environment", nargs="?")
        parser.add_argument(
            "--format",
            choices=("table", "json", "changelog"),
            default="table",
            help="changelog: the releases that got there, with their commits, for CHANGELOG.md",
        )
        parser.add_argument("--limit", type=COUNT, default=50, metavar="N", help="at most N (default: 50)")

    def run(self, options: dict[str, Any]) -> int:
        """Print in the chosen format."""
        rows = Deployment.objects.with_taken_back().select_related("environment", "release")
        rows = rows.defer("snapshot", "release__change_log")
        if options["environment"]:
            rows = rows.filter(environment=selectors.environment_named(options["environment"]))
        if options["format"] == "changelog":
            self._changelog(options["environment"])
        elif self.as_json or options["format"] == "json":
            self.emit([describe(row) for row in described(rows)[: options["limit"]]])
        else:
            self._table(list(rows[: options["limit"]]))
        return 0

    def _table(self, rows: list[Deployment]) -> None:
        if not rows:
            self.say("Nothing has been deployed yet.")
        for row in rows:
            seconds = spoken(row.seconds) if row.seconds is not None else ""
            mark = "↩ " if row.rollback_of_id or row.kind == "rollback" else ""
            self.say(
                f"{row.pk:>5}  {row.requested_at:%Y-%m-%d %H:%M}  {row.environment!s:12} "
                f"{mark}{row.release.identifier:30} {row.get_status_display():21} {seconds:>8}  {row.requested_by}"
            )

    def _changelog(self, environment: str | None) -> None:
        """Each version under the day it first got there, newest first, as CHANGELOG.md has it."""
        arrivals = Deployment.objects.filter(
            release=OuterRef("pk"), kind=Kind.DEPLOYMENT, status=Status.SUCCEEDED, finished_at__isnull=False
        )
        if environment:
            arrivals = arrivals.filter(environment__name=environment)
        first = Subquery(arrivals.order_by("finished_at", "id").values("finished_at")[:1])
        releases = Release.objects.annotate(arrived=first).exclude(arrived=None).order_by("arrived", "pk")
        versions: dict[str, Any] = {}
        for release in releases:
            versions.setdefault(release.version, release)
        parts = []
        for version, release in reversed(versions.items()):
            parts.append(f"## {version} ({release.arrived:%Y-%m-%d})")
            if subjects := release.change_log.splitlines():
                parts.append("\n".join(f"- {subject}" for subject in subjects))
        if parts:
            self.say("\n\n".join(parts))
