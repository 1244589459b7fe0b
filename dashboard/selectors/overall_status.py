"""How things stand: the one answer that hero, title, icon, badge, API, overview and command line give.

A bot in trouble is worth more than an alert about it, and both more than what only waits. Nothing is green while
something alarms, and what nobody looks at is said to be so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from alerting.incidents.selectors import open_incidents
from alerting.models import Incident
from alerting.summary import MOODS, Mood, Summary, summary
from dashboard.models import Condition
from dashboard.selectors.bot_status import Stands, bot_statuses
from deployments.core import selectors
from deployments.models import Deployment, Server

_GONE = {Condition.DOWN, Condition.DISCONNECTED}


@dataclass(frozen=True)
class OverallStatus:
    """All bots, what fires, deployments that nobody has settled, and open incidents."""

    bots: Sequence[Stands]
    alerts: Summary
    interrupted: Sequence[Deployment] = ()
    incidents: Sequence[Incident] = ()

    @property
    def expected(self) -> int:
        """Bots that should be in their rooms."""
        return len(self.bots) - len(self.idle)

    @cached_property
    def troubled(self) -> list[Stands]:
        """Those of them that are not known to be."""
        return [bot for bot in self.bots if not _idle(bot) and bot.condition != Condition.CONNECTED]

    @cached_property
    def idle(self) -> list[Stands]:
        """Bots of which nothing is expected: without a release yet, or stopped on purpose."""
        return [bot for bot in self.bots if _idle(bot)]

    @property
    def mood(self) -> Mood:
        """The worst of what bots, alerts, deployments and incidents say."""
        bots: Mood = "calm" if self.expected else "empty"
        if self.troubled:
            bots = "alarmed" if any(bot.condition in _GONE for bot in self.troubled) else "wary"
        said: list[Mood] = [bots]
        if self.interrupted or self.incidents:
            said.append("alarmed" if any(row.urgent for row in self.incidents) else "wary")
        if self.alerts.firing:
            said.append(self.alerts.mood)
        return max(said, key=MOODS.index)

    @property
    def headline(self) -> str:
        """The answer to "is everything all right?" in one sentence; the worst comes first."""
        if self.troubled:
            return self._trouble()
        if self.alerts.need:
            return self.alerts.need
        if self.interrupted:
            row = self.interrupted[0]
            return f"Deployment {row.pk} to {row.environment} was interrupted and needs action"
        return self._incident() or self._calm()

    @property
    def remarks(self) -> list[str]:
        """What else there is to say, in sentences."""
        said = []
        if self.troubled and self.alerts.need:
            said.append(f"{self.alerts.need}.")
        if self.expected and not self.troubled and self.headline != self._calm():
            said.append(f"{self._calm()}.")
        if self.interrupted and (self.troubled or self.alerts.need):
            said += [f"Deployment {row.pk} to {row.environment} was interrupted." for row in self.interrupted]
        if self.incidents and self.headline != self._incident():
            said.append(f"{self._incident()}.")
        if self.alerts.aside:
            said.append(f"{self.alerts.aside}.")
        if self.alerts.unwatched:
            said.append(f"{self.alerts.unwatched}: nobody would be told of a failure.")
        return said

    @property
    def remarkable(self) -> list[Stands]:
        """The bots that the line below the headline names: in trouble, or without a release."""
        return [*(self.troubled if self.expected > 1 else []), *self.idle]

    @property
    def only_incident(self) -> Incident | None:
        """The one that the headline tells of, where it does and no other is open."""
        return self.incidents[0] if len(self.incidents) == 1 and self.headline == self._incident() else None

    def _trouble(self) -> str:
        if self.expected == 1:
            return f"{self.troubled[0].name}: {self.troubled[0].word.lower()}"
        count = len(self.troubled)
        if count == self.expected:
            return f"{self._everyone} {self._kind}s need attention"
        return f"{count} of {self.expected} {self._kind}s {'needs' if count == 1 else 'need'} attention"

    def _incident(self) -> str:
        if len(self.incidents) == 1:
            row = self.incidents[0]
            return f"Incident: {row.title} ({row.get_state_display().lower()})"
        return f"{len(self.incidents)} incidents are open" if self.incidents else ""

    def _calm(self) -> str:
        if not self.bots:
            return "No bot has been enrolled yet"
        if not self.expected:
            return self._idle_words()
        if self._kind == "bot":
            return "The bot is in its room" if self.expected == 1 else f"{self._everyone} bots are in their rooms"
        return "The service is running" if self.expected == 1 else f"{self._everyone} services are running"

    def _idle_words(self) -> str:
        if any(bot.on_purpose for bot in self.bots):
            return f"Every {self._kind} has been stopped"
        return (
            "What is deployed is not watched"
            if any(bot.deployed for bot in self.bots)
            else ("Nothing has been deployed yet")
        )

    @property
    def _kind(self) -> str:
        """What they are together: bots are services too."""
        counted = [bot for bot in self.bots if not _idle(bot)] or self.bots
        return "bot" if all(bot.service == Server.Service.BOT for bot in counted) else "service"

    @property
    def _everyone(self) -> str:
        return "Both" if self.expected == 2 else f"All {self.expected}"


def _idle(bot: Stands) -> bool:
    return bot.on_purpose or not bot.expected


def overall_status(now: datetime, bots: Sequence[Stands] | None = None) -> OverallStatus:
    """How everything stands, for members; of bots that were just read, or of all. Ten queries at most."""
    if bots is None:
        bots = bot_statuses(now)
    return OverallStatus(bots, summary(now), selectors.unsettled_deployments(), open_incidents(members=True))


def public_status(bots: Sequence[Stands], now: datetime, *, alerts: bool) -> OverallStatus:
    """What strangers may know: bots, public incidents, and firing alerts where the page shows them; not whether anybody
    watches."""
    firing = summary(now).firing if alerts else []
    return OverallStatus(bots, Summary(firing, ""), incidents=open_incidents(members=False))
