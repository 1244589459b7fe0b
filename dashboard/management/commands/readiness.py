"""Whether the system is what it promises to be."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from dashboard.services.readiness import scorecard
from deployments.access.policy import require
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`readiness`."""

    help = "The ten facts that must be true of a running system, each computed; 1 when one does not hold."

    def run(self, options: dict[str, Any]) -> int:
        """One line per fact."""
        require(self.actor("view"), "view")
        facts = scorecard(timezone.now())
        if self.as_json:
            self.emit([asdict(fact) for fact in facts])
        for fact in facts:
            self.say(f"{'✓' if fact.holds else '✗'} {fact.number:2} {fact.title}: {fact.sentence}")
        holding = sum(fact.holds for fact in facts)
        self.say(f"{holding} of {len(facts)} hold.")
        return 0 if holding == len(facts) else 1
