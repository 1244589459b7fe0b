"""How things stand, on the terminal."""

from typing import Any

from django.utils import timezone

from dashboard.selectors.bots import all_bots
from dashboard.selectors.overall_status import overall_status
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.management.base import PortalCommand


class Command(PortalCommand):
    """`overview`."""

    help = "How things stand: bots, alerts and deployments, as the status page says it; 1 when something needs action."

    def run(self, options: dict[str, Any]) -> int:
        """The headline, what else there is to say, and a line for each bot."""
        require(self.actor(Verb.VIEW), Verb.VIEW)
        now = timezone.now()
        bots = all_bots(now)
        found = overall_status(now, bots)
        if self.as_json:
            self.emit(
                {
                    "mood": found.mood,
                    "headline": found.headline,
                    "remarks": found.remarks,
                    "alarms": len(found.alerts.alarms),
                    "bots": [{"name": bot.name, "condition": bot.condition, "release": bot.release} for bot in bots],
                    "alerts": [{"name": one.alert.name, "severity": one.alert.severity} for one in found.alerts.firing],
                }
            )
        self.say(f"{found.headline}.")
        for remark in found.remarks:
            self.say(remark)
        for bot in bots:
            self.say(f"{bot.name:20} {bot.word.lower():20} {bot.release}".rstrip())
        for one in found.alerts.firing:
            note = "" if one.loud else f" ({one.state})"
            self.say(f"{one.alert.name:20} {one.alert.severity:20} {one.alert.summary}{note}")
        return int(found.mood in {"wary", "alarmed"})
