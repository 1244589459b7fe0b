"""What fires now in one sentence and one mood; every surface that speaks of alerts asks here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from alerting import dead_mans_switch, selectors
from alerting.selectors import Shown
from deployments.core.texts import plural
from deployments.models import Server

Mood = Literal["calm", "wary", "alarmed", "empty"]
MOODS: tuple[Mood, ...] = ("empty", "calm", "wary", "alarmed")
"""From the least to the most that somebody has to do."""


@dataclass(frozen=True)
class Summary:
    """The alerts that fire; `unwatched` says why nobody knows whether more would, or is empty."""

    firing: list[Shown]
    unwatched: str

    @property
    def alarms(self) -> list[Shown]:
        """Those that somebody has to do something about."""
        return [one for one in self.firing if one.alarm]

    @property
    def unlisted(self) -> int:
        """How many fire besides those that are listed."""
        return selectors.unlisted(self.firing)

    @property
    def critical(self) -> int:
        """How many of them are critical."""
        return sum(one.alert.severity == "critical" for one in self.alarms)

    @property
    def quiet(self) -> list[Shown]:
        """Those that somebody has in hand, lets wait or has silenced; information and drills left out."""
        return [one for one in self.firing if one.grave and not one.loud]

    @property
    def aside(self) -> str:
        """The same beside another headline; empty when there is none."""
        return f"{plural(len(self.quiet), 'alert')}{self._how.removeprefix(',')}" if self.quiet else ""

    @property
    def counted(self) -> str:
        """All that fires in parts that add up: "4 firing: 2 need action, 1 for information, 1 acknowledged"."""
        alarms, rest = len(self.alarms), len(self.firing) - len(self.alarms) - len(self.quiet)
        parts = [
            f"{alarms} {'needs' if alarms == 1 else 'need'} action" if alarms else "",
            f"{rest} for information" if rest else "",
            selectors.quiet_words(self.quiet),
        ]
        said = [part for part in parts if part]
        if self.unlisted:
            return f"{len(self.firing) + self.unlisted} firing, the {len(self.firing)} worst of them below"
        return f"{len(self.firing)} firing" + (f": {', '.join(said)}" if len(said) > 1 else "")

    @property
    def _how(self) -> str:
        states = {one.state for one in self.quiet}
        return f", {states.pop()}" if len(states) == 1 else f": {selectors.quiet_words(self.quiet)}"

    @property
    def mood(self) -> Mood:
        """A critical alarm alarms; any other, and what is kept quiet, is worth a look; unwatched, nothing is known."""
        if self.critical:
            return "alarmed"
        if self.alarms or self.quiet:
            return "wary"
        return "empty" if self.unwatched else "calm"

    @property
    def need(self) -> str:
        """What needs action, worst first; empty when nothing does."""
        count = len(self.alarms)
        if not count:
            return ""
        least = "At least " if self.unlisted else ""
        if self.critical == count:
            return f"{least}{plural(count, 'critical alert')} {'needs' if count == 1 else 'need'} action"
        worst = f", {self.critical} of them critical" if self.critical else ""
        return f"{least}{plural(count, 'alert')} {'needs' if count == 1 else 'need'} action{worst}"

    @property
    def headline(self) -> str:
        """The answer to "does anything fire?"."""
        if self.need:
            return self.need
        if self.quiet:
            count = len(self.quiet)
            return f"{plural(count, 'alert')} {'fires' if count == 1 else 'fire'}{self._how}"
        if self.unwatched:
            return self.unwatched
        return "Nothing that fires needs action" if self.firing else "Nothing fires"


def summary(now: datetime, server: Server | None = None) -> Summary:
    """What fires at `now` (on one server). Four queries at most."""
    firing = selectors.firing(now, server)
    return Summary(firing, dead_mans_switch.unwatched(now, heard=bool(firing)))
