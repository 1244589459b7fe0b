"""Whether the system is what it promises to be."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from dashboard.readiness.rows import Verdict
from dashboard.readiness.scorecard import counted, scorecards
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand

_SIGNS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.UNMEASURED: "?"}


class Command(PortalCommand):
    """`readiness`."""

    help = "What must be true of each application: pass, fail or not measured yet; 1 unless everything passes."

    def run(self, options: dict[str, Any]) -> int:
        """One line per row."""
        require(self.actor(Verb.VIEW), Verb.VIEW)
        cards = scorecards(timezone.now())
        if self.as_json:
            self.emit([asdict(card) for card in cards])
        for card in cards:
            self.say(f"== {card.title}")
            for row in card.rows:
                self.say(f"{_SIGNS[row.verdict]} {row.title}: {row.sentence} ({row.of})")
                self.say(f"    {row.unknown or row.verdict}; measured by: {row.measure}; see {row.evidence}")
        numbers = counted(cards)
        self.say(", ".join(f"{number} {verdict}" for verdict, number in numbers.items()) + ".")
        return 0 if numbers[Verdict.PASS] == sum(numbers.values()) else 1
