"""Every bot with its condition, its last day and its ninety days."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import F, Sum

from dashboard.charts.bars import DayBar
from dashboard.intervals import BEAT, DAY, DAY_BARS, MINUTE, beginning
from dashboard.models import BotState, Condition, Sample
from deployments.models import Server

# What a page needs first comes first.
_URGENCY = {
    Condition.DOWN: 0,
    Condition.DISCONNECTED: 1,
    Condition.STALE: 2,
    Condition.STOPPED: 3,
    None: 4,
    Condition.CONNECTED: 5,
}


# What a page with every bot does not show need not be read and decoded.
_UNUSED = (
    "host_key",
    "facts",
    "unit_files",
    "secret_versions",
    "readiness",
    "environment__configuration",
    "environment__private_key",
    "environment__next_private_key",
    "current_release__change_log",
)


@dataclass(frozen=True)
class Bot:
    """A server with the role bot, and what its bot last said; `state` is None before its first heartbeat."""

    server: Server
    state: BotState | None
    condition: Condition | None

    @property
    def name(self) -> str:
        """The server's name, which is what a bot is called."""
        return self.server.name

    @property
    def grade(self) -> str:
        """The class a page colours and shapes it by."""
        return self.condition.value if self.condition else "unknown"

    @property
    def word(self) -> str:
        """Its condition in words."""
        if self.condition:
            return self.condition.label
        return "Never heard from" if self.expected else "Nothing deployed yet"

    @property
    def expected(self) -> bool:
        """Whether it should be in its room: once a release was deployed, or it was heard."""
        return self.state is not None or self.server.current_release_id is not None

    def heard_since(self, moment: datetime) -> bool:
        """Whether it has spoken after `moment`."""
        return self.state is not None and self.state.heard_at >= moment

    @property
    def release(self) -> str:
        """The release it says it runs, else the one recorded for the server."""
        if self.state and self.state.release:
            return self.state.release
        return self.server.current_release.identifier if self.server.current_release else ""


@dataclass(frozen=True)
class Day:
    """The last 24 hours of one bot."""

    connected: float | None
    requests: int
    errors: int

    @property
    def error_rate(self) -> float:
        """Errors per request, at most 1."""
        return min(1.0, self.errors / self.requests) if self.requests else float(bool(self.errors))


def all_bots(now: datetime) -> list[Bot]:
    """Every bot that is not retired: production before test, and those in trouble first. One query."""
    servers = (
        Server.objects.exclude(state=Server.State.RETIRED)
        .select_related("environment", "bot_state", "current_release")
        .defer(*_UNUSED)
        .order_by("environment__order", "environment__name", "order", "name")
    )
    bots = [_bot(server, now) for server in servers if "bot" in server.roles]
    return sorted(
        bots, key=lambda bot: (-bot.server.environment.order, bot.server.environment.name, _URGENCY[bot.condition])
    )


def bot_named(name: str, now: datetime) -> Bot | None:
    """The bot on the server `name`, or None."""
    server = (
        Server.objects.exclude(state=Server.State.RETIRED)
        .select_related("environment", "bot_state", "current_release")
        .filter(name=name)
        .first()
    )
    return _bot(server, now) if server and "bot" in server.roles else None


def last_days(bots: Sequence[Bot], now: datetime) -> dict[int, Day]:
    """The last 24 hours of each bot, by server. One query."""
    since = beginning(now - timedelta(seconds=DAY), 10 * MINUTE)
    sums = {
        row["server_id"]: row
        for row in Sample.objects.filter(
            server__in=[bot.server.pk for bot in bots], resolution=10 * MINUTE, at__gte=since
        )
        .order_by()
        .values("server_id")
        .annotate(connected=Sum("connected_seconds"), handled=Sum(F("requests")), failed=Sum(F("errors")))
    }
    return {bot.server.pk: _day(bot, sums.get(bot.server.pk), since, now) for bot in bots}


def uptime_bars(bots: Iterable[Bot], now: datetime) -> dict[int, list[DayBar]]:
    """Ninety bars of each bot, by server; today is the last. One query."""
    bots = list(bots)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=DAY_BARS - 1)
    rows = Sample.objects.filter(server__in=[bot.server.pk for bot in bots], resolution=DAY, at__gte=first).values_list(
        "server_id", "at", "connected_seconds"
    )
    seconds: dict[tuple[int, date], float] = {(server, at.date()): connected for server, at, connected in rows}
    days = [first + timedelta(days=i) for i in range(DAY_BARS)]
    return {
        bot.server.pk: [
            DayBar(day.date(), _part(bot, seconds.get((bot.server.pk, day.date()), 0.0), day, now), index)
            for index, day in enumerate(days)
        ]
        for bot in bots
    }


def _bot(server: Server, now: datetime) -> Bot:
    state = getattr(server, "bot_state", None)
    return Bot(server, state, state.condition(now) if state else None)


def _part(bot: Bot, connected: float, day: datetime, now: datetime) -> float | None:
    """The connected part of what could be observed of a day; silence counts as not connected."""
    if bot.state is None:
        return None
    begin = max(day, _observed_since(bot.state))
    end = min(day + timedelta(days=1), now)
    observed = (end - begin).total_seconds()
    if observed <= 0:
        return None
    return min(1.0, (connected + _unheard(bot, end, now)) / observed)


def _observed_since(state: BotState) -> datetime:
    """One beat after its first word: a bot reports before it has entered its room, which is no absence."""
    return state.first_heard_at + timedelta(seconds=BEAT)


def _unheard(bot: Bot, end: datetime, now: datetime) -> float:
    """Time since the last heartbeat of a connected bot that is not silent for long: it has not been added yet."""
    if bot.state is None or end < now or bot.condition not in {Condition.CONNECTED, Condition.STALE}:
        return 0.0
    return (now - bot.state.heard_at).total_seconds() if bot.state.connected else 0.0


def _day(bot: Bot, row: Mapping[str, Any] | None, since: datetime, now: datetime) -> Day:
    if row is None or bot.state is None:
        return Day(None, 0, 0)
    begin = max(since, _observed_since(bot.state))
    observed = (now - begin).total_seconds()
    if observed <= 0:
        return Day(None, int(row["handled"]), int(row["failed"]))
    connected = min(1.0, (row["connected"] + _unheard(bot, now, now)) / observed)
    return Day(connected, int(row["handled"]), int(row["failed"]))
