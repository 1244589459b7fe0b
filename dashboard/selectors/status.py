"""The whole status page: a fixed number of queries, whatever there is to show."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from alerting import channels
from alerting import selectors as alerts
from dashboard.charts.bars import DayBar, drawn, overall
from dashboard.charts.timeline import Mark
from dashboard.intervals import DAY
from dashboard.models import Condition, StatusPage
from dashboard.selectors import bots as bot_rows
from dashboard.selectors import events, history, progress
from dashboard.selectors.bots import Bot, Day
from dashboard.selectors.series import Range, Series, range_for, series
from deployments.drills import records as drills
from deployments.models import Deployment

BOTS_PER_PAGE = 12
RECENT = 5


@dataclass(frozen=True)
class Choice:
    """What a visitor picked from the page's links."""

    environment: str = ""
    page: int = 1
    bot: str = ""
    range: str = ""


@dataclass(frozen=True)
class Card:
    """One bot as the page shows it."""

    bot: Bot
    day: Day
    bars: list[DayBar]
    uptime: float | None

    @property
    def drawn(self) -> SafeString:
        """The bars as SVG."""
        return drawn(self.bars)


@dataclass(frozen=True)
class Group:
    """The bots of one environment that are on this page, and how all of its bots are."""

    environment: str
    total: int
    connected: int
    cards: list[Card]


@dataclass(frozen=True)
class Status:
    """Everything the status page shows."""

    page: StatusPage
    members: bool
    now: datetime
    choice: Choice
    groups: list[Group]
    total: int
    troubled: list[Bot]
    idle: list[Bot]
    pages: int
    charted: Bot | None
    series: Series | None
    marks: list[Mark]
    active: list[progress.Progress]
    recent: list[Deployment]
    alerts: list[alerts.Shown]
    drills: list[drills.Drill]
    channels: list[channels.Channel]
    environments: list[str]

    @property
    def headline(self) -> str:
        """The answer to "is everything all right?" in one sentence."""
        if not self.total:
            return "No bot has been enrolled yet"
        expected = self.total - len(self.idle)
        everyone = "Both" if expected == 2 else f"All {expected}"
        if not expected:
            return "Nothing has been deployed yet"
        if not self.troubled:
            return "The bot is in its room" if expected == 1 else f"{everyone} bots are in their rooms"
        if expected == 1:
            return f"{self.troubled[0].name}: {self.troubled[0].word.lower()}"
        if len(self.troubled) == expected:
            return f"{everyone} bots need attention"
        return f"{len(self.troubled)} of {expected} bots {'needs' if len(self.troubled) == 1 else 'need'} attention"

    @property
    def remarkable(self) -> list[Bot]:
        """The bots that the line below the headline names: in trouble, or without a release."""
        return [*(self.troubled if self.total - len(self.idle) > 1 else []), *self.idle]

    @property
    def mood(self) -> str:
        """calm, wary, alarmed or empty."""
        if self.total == len(self.idle):
            return "empty"
        if any(bot.condition in {Condition.DOWN, Condition.DISCONNECTED} for bot in self.troubled):
            return "alarmed"
        return "wary" if self.troubled else "calm"


def page_settings() -> StatusPage:
    """What the page may show to everyone."""
    return StatusPage.objects.filter(pk=1).first() or StatusPage(pk=1)


def status(page: StatusPage, choice: Choice, now: datetime, *, members: bool) -> Status:
    """The page for `choice`. People who are not members see what `page` allows."""
    everyone = bot_rows.all_bots(now)
    chosen = [bot for bot in everyone if choice.environment in ("", bot.server.environment.name)]
    pages = max(1, -(-len(chosen) // BOTS_PER_PAGE))
    first = (min(max(1, choice.page), pages) - 1) * BOTS_PER_PAGE
    shown = chosen[first : first + BOTS_PER_PAGE]
    charted = _charted(everyone, shown, choice, now)
    charts = charted if charted and (members or page.show_charts) else None
    drawn = series(charts.server, charts_range(charts, choice, now), now) if charts else None
    with_deployments = members or page.show_deployments
    return Status(
        page=page,
        members=members,
        now=now,
        choice=choice,
        groups=_groups(everyone, _cards(shown, now)),
        total=len(everyone),
        troubled=[bot for bot in everyone if bot.expected and bot.condition != Condition.CONNECTED],
        idle=[bot for bot in everyone if not bot.expected],
        pages=pages,
        charted=charts,
        series=drawn,
        marks=events.marks(charts.server.environment, drawn.start, drawn.end, page, members=members)
        if charts and drawn
        else [],
        active=progress.active(now) if with_deployments else [],
        recent=history.recent(RECENT) if with_deployments else [],
        alerts=alerts.firing(now) if members or page.show_alerts else [],
        drills=drills.latest() if members else [],
        channels=channels.channels() if members else [],
        environments=list(dict.fromkeys(bot.server.environment.name for bot in everyone)),
    )


def charts_range(bot: Bot, choice: Choice, now: datetime) -> Range:
    """The stretch of time that the charts of `bot` show."""
    return range_for(choice.range, bot.state.first_heard_at if bot.state else None, now)


def _charted(everyone: list[Bot], shown: list[Bot], choice: Choice, now: datetime) -> Bot | None:
    """The bot whose charts are drawn: the one asked for, else one with something to draw, production before others."""
    named = [bot for bot in everyone if bot.name == choice.bot]
    day_ago = now - timedelta(seconds=DAY)
    heard = sorted(
        (bot for bot in shown if bot.state),
        key=lambda bot: (not bot.heard_since(day_ago), bot.server.environment.name != "production"),
    )
    return next(iter([*named, *heard]), None)


def _cards(shown: list[Bot], now: datetime) -> list[Card]:
    days = bot_rows.last_days(shown, now)
    bars = bot_rows.uptime_bars(shown, now)
    return [Card(bot, days[bot.server.pk], bars[bot.server.pk], overall(bars[bot.server.pk])) for bot in shown]


def _groups(everyone: list[Bot], cards: list[Card]) -> list[Group]:
    groups = []
    for name in dict.fromkeys(card.bot.server.environment.name for card in cards):
        there = [bot for bot in everyone if bot.server.environment.name == name]
        groups.append(
            Group(
                name,
                len(there),
                sum(bot.condition == Condition.CONNECTED for bot in there),
                [card for card in cards if card.bot.server.environment.name == name],
            )
        )
    return groups
