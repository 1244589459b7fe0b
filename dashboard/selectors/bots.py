"""Every bot with its condition, its last day and its ninety days."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import F, Max, Sum

from dashboard.charts.bars import DayBar, of_observed
from dashboard.intervals import DAY, DAY_BARS, MINUTE, beginning
from dashboard.models import BotState, Condition, Sample
from dashboard.selectors.bot_status import condition_of, is_expected, urgency, word_of
from deployments.models import Server

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
_UNHEARD = {
    Server.Service.BOT: "Its release was deployed, but nothing has been heard from this bot yet.",
    Server.Service.ASKED: "Its health address is asked every minute and has not answered here yet: the portal has to "
    "reach it, or the service sends heartbeats.",
    Server.Service.UNASKED: "Its release names no health address and it sends no heartbeats: nobody here looks at it. "
    "Its units were watched when it was deployed; verify looks again.",
}


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
        return word_of(self.condition, self.service, deployed=self.deployed)

    @property
    def deployed(self) -> bool:
        """Whether a release was deployed there."""
        return self.server.current_release_id is not None

    @property
    def service(self) -> str:
        """What it is (`Server.Service`)."""
        return self.server.service

    @property
    def has_room(self) -> bool:
        """Whether it is a bot, and so in a room or not."""
        return self.service == Server.Service.BOT

    @property
    def unheard(self) -> str:
        """Why nothing is known of it although its release was deployed."""
        return _UNHEARD[Server.Service(self.service)]

    @property
    def place(self) -> str:
        """Where uptime is counted, in words."""
        return "in its room" if self.has_room else "running"

    @property
    def on_purpose(self) -> bool:
        """Whether it is not in its room because somebody stopped it."""
        return self.condition == Condition.STOPPED and self.server.bot_stopped

    @property
    def gone(self) -> bool:
        """Whether it has stopped, or is down: what it said of itself is of the past."""
        return self.condition in {Condition.STOPPED, Condition.DOWN}

    @property
    def silent(self) -> bool:
        """Whether nobody knows how it is now: since when it is so is not known either, only when it was heard last."""
        return self.condition in {Condition.STALE, Condition.DOWN}

    @property
    def over(self) -> bool:
        """Whether how long it runs is of the past: a bot out of its room runs on, a service may not."""
        return self.gone or (not self.has_room and self.condition == Condition.DISCONNECTED)

    @property
    def expected(self) -> bool:
        """Whether it should be in its room: once a release was deployed, or it was heard."""
        return is_expected(self.service, deployed=self.deployed, heard=self.state is not None)

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
    """A stretch up to now of one bot, a day as a rule: what was observed of it, and how long it was in its room."""

    observed_seconds: float = 0.0
    connected_seconds: float = 0.0
    requests: int = 0
    errors: int = 0
    response_ms: float | None = None
    response_max: float = 0.0

    @property
    def connected(self) -> float | None:
        """The part of what was observed that it was in its room; None when nothing was observed."""
        return min(1.0, self.connected_seconds / self.observed_seconds) if self.observed_seconds else None

    @property
    def said(self) -> str:
        """The same in words, with what it is true of unless that is the whole day."""
        return "–" if self.connected is None else of_observed(self.connected, self.observed_seconds, DAY)

    @property
    def error_rate(self) -> float:
        """Errors per request, at most 1."""
        return min(1.0, self.errors / self.requests) if self.requests else float(bool(self.errors))


def all_bots(now: datetime, only: Iterable[int] | None = None) -> list[Bot]:
    """Every bot that is not retired, or those of these servers; the most urgent first. One query."""
    servers = (
        Server.objects.exclude(state=Server.State.RETIRED)
        .select_related("environment", "bot_state", "current_release")
        .defer(*_UNUSED)
        .order_by("environment__order", "environment_id", "order", "name")
    )
    if only is not None:
        servers = servers.filter(pk__in=list(only))
    bots = [_bot(server, now) for server in servers if "bot" in server.roles]
    return sorted(bots, key=lambda bot: urgency(bot.server.environment.order, bot.server.environment_id, bot.condition))


def bots_of(environments: Iterable[int], now: datetime) -> dict[int, list[Bot]]:
    """Those that were ever heard or deployed to, by the number of their environment. Two queries."""
    wanted = Server.objects.filter(environment__in=list(environments)).values_list("pk", flat=True)
    found: dict[int, list[Bot]] = {}
    for bot in all_bots(now, wanted):
        if bot.state is not None or bot.deployed:
            found.setdefault(bot.server.environment_id, []).append(bot)
    return found


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
    return stretches(bots, now, DAY, 10 * MINUTE)


def stretches(bots: Sequence[Bot], now: datetime, seconds: int, resolution: int) -> dict[int, Day]:
    """What samples of this resolution say of the last `seconds`, by server. One query."""
    since = beginning(now - timedelta(seconds=seconds), resolution) + timedelta(seconds=resolution)
    sums = {
        row["server_id"]: row
        for row in Sample.objects.filter(
            server__in=[bot.server.pk for bot in bots], resolution=resolution, at__gte=since
        )
        .order_by()
        .values("server_id")
        .annotate(
            observed=Sum("observed_seconds"),
            connected=Sum("connected_seconds"),
            handled=Sum(F("requests")),
            failed=Sum(F("errors")),
            response=Sum("response_sum"),
            answers=Sum("response_beats"),
            slowest=Max("response_max"),
        )
    }
    return {bot.server.pk: _day(sums.get(bot.server.pk)) for bot in bots}


def uptime_bars(bots: Iterable[Bot], now: datetime) -> dict[int, list[DayBar]]:
    """Ninety bars of each bot, by server; today is the last. One query."""
    bots = list(bots)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=DAY_BARS - 1)
    rows = Sample.objects.filter(server__in=[bot.server.pk for bot in bots], resolution=DAY, at__gte=first).values_list(
        "server_id", "at", "connected_seconds", "observed_seconds"
    )
    seconds: dict[tuple[int, date], tuple[float, float]] = {(row[0], row[1].date()): (row[2], row[3]) for row in rows}
    days = [(first + timedelta(days=i)).date() for i in range(DAY_BARS)]
    gone = (now - today).total_seconds()
    return {
        bot.server.pk: [
            _bar(day, index, seconds.get((bot.server.pk, day), (0.0, 0.0)), gone if index == DAY_BARS - 1 else DAY)
            for index, day in enumerate(days)
        ]
        for bot in bots
    }


def _bot(server: Server, now: datetime) -> Bot:
    state = getattr(server, "bot_state", None)
    heard = state.condition(now) if state else None
    return Bot(server, state, condition_of(heard, stopped=server.bot_stopped))


def _bar(day: date, index: int, seconds: tuple[float, float], elapsed: float) -> DayBar:
    connected, observed = seconds
    return DayBar(day, min(1.0, connected / observed) if observed else None, index, observed, elapsed)


def _day(row: Mapping[str, Any] | None) -> Day:
    if row is None:
        return Day()
    mean = row["response"] / row["answers"] if row["answers"] else None
    return Day(row["observed"], row["connected"], int(row["handled"]), int(row["failed"]), mean, row["slowest"])
