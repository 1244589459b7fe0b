"""The whole status page: a fixed number of queries, whatever there is to show."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.safestring import SafeString

from alerting import channels
from alerting.incidents.selectors import ended_lately
from alerting.models import Incident
from dashboard.charts.bars import DayBar, drawn, overall_said
from dashboard.charts.timeline import Mark
from dashboard.intervals import DAY, PROMISED_ERROR_RATE, PROMISED_RESPONSE_MS
from dashboard.models import Condition, StatusPage
from dashboard.selectors import bots as bot_rows
from dashboard.selectors import events, history, progress
from dashboard.selectors.bot_status import BotStatus, bot_statuses
from dashboard.selectors.bots import Bot, Day
from dashboard.selectors.overall_status import OverallStatus, overall_status, public_status
from dashboard.selectors.series import Range, Series, range_for, series
from deployments.core.selectors import waiting_requests
from deployments.drills import records as drills
from deployments.models import Deployment, Maintenance
from deployments.notifications.subscribers import mail_channel

BOTS_PER_PAGE = 12
RECENT = 3
AHEAD = timedelta(days=30)
"""How early the page tells of maintenance."""


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
    uptime: str

    @property
    def slow(self) -> bool:
        """Whether its last answer took longer than promised."""
        return self.bot.state is not None and (self.bot.state.response_ms or 0) >= PROMISED_RESPONSE_MS

    @property
    def failing(self) -> bool:
        """Whether more failed in its last day than promised."""
        return self.day.error_rate >= PROMISED_ERROR_RATE

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

    @property
    def word(self) -> str:
        """What is counted of them: bots are connected, services run."""
        return "connected" if all(card.bot.has_room for card in self.cards) else "running"


@dataclass(frozen=True)
class Status:
    """Everything the status page shows."""

    page: StatusPage
    members: bool
    now: datetime
    choice: Choice
    groups: list[Group]
    situation: OverallStatus
    pages: int
    charted: Bot | None
    series: Series | None
    marks: list[Mark]
    active: list[progress.Progress]
    waiting: list[Deployment]
    recent: list[Deployment]
    ended: list[Incident]
    maintenance: list[Maintenance]
    drills: list[drills.Drill]
    channels: list[channels.Channel]
    environments: list[str]
    mails: bool
    """Whether everybody may subscribe to incidents by e-mail."""

    @property
    def bots(self) -> list[Bot]:
        """Those on this page that have anything to draw."""
        return [card.bot for group in self.groups for card in group.cards if card.bot.state]


def page_settings() -> StatusPage:
    """What the page may show to everyone."""
    return StatusPage.objects.filter(pk=1).first() or StatusPage(pk=1)


def status(page: StatusPage, choice: Choice, now: datetime, *, members: bool) -> Status:
    """The page for `choice`. People who are not members see what `page` allows."""
    everyone = bot_statuses(now)
    chosen = [bot for bot in everyone if choice.environment in ("", bot.path, bot.environment)]
    pages = max(1, -(-len(chosen) // BOTS_PER_PAGE))
    first = (min(max(1, choice.page), pages) - 1) * BOTS_PER_PAGE
    shown = chosen[first : first + BOTS_PER_PAGE]
    named = [bot for bot in everyone if bot.name == choice.bot]
    cards = bot_rows.all_bots(now, {bot.pk for bot in (*shown, *named)})
    numbers = {bot.pk for bot in shown}
    drawn_bots = [bot for bot in cards if bot.server.pk in numbers]
    charted = _charted(cards, drawn_bots, choice, now)
    charts = charted if charted and (members or page.show_charts) else None
    drawn = series(charts.server, charts_range(charts, choice, now), now) if charts else None
    with_deployments = members or page.show_deployments
    return Status(
        page=page,
        members=members,
        now=now,
        choice=choice,
        groups=_groups(everyone, _cards(drawn_bots, now)),
        situation=_situation(page, everyone, now, members=members),
        pages=pages,
        charted=charts,
        series=drawn,
        marks=events.marks(charts.server, drawn.start, drawn.end, page, members=members) if charts and drawn else [],
        active=progress.active(now) if with_deployments else [],
        waiting=list(waiting_requests().defer("snapshot")) if members else [],
        recent=history.recent(RECENT) if with_deployments else [],
        ended=ended_lately(now, members=members),
        maintenance=maintenance_ahead(now, members=members),
        drills=drills.latest() if members else [],
        channels=channels.channels() if members else [],
        environments=list(dict.fromkeys(bot.environment for bot in everyone)),
        mails=page.public and mail_channel() is not None,
    )


def maintenance_ahead(now: datetime, *, members: bool) -> list[Maintenance]:
    """What is under way, and what begins within `AHEAD`, the next first. One query."""
    rows = Maintenance.objects.filter(ended_at=None, ends_at__gt=now, starts_at__lt=now + AHEAD)
    rows = rows if members else rows.filter(public=True)
    return list(rows.select_related("environment").order_by("starts_at")[:BOTS_PER_PAGE])


def _situation(page: StatusPage, everyone: list[BotStatus], now: datetime, *, members: bool) -> OverallStatus:
    """How all bots stand, whichever are shown."""
    if not members:
        return public_status(everyone, now, alerts=page.show_alerts)
    return overall_status(now, everyone)


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
    return [Card(bot, days[bot.server.pk], bars[bot.server.pk], overall_said(bars[bot.server.pk])) for bot in shown]


def _groups(everyone: list[BotStatus], cards: list[Card]) -> list[Group]:
    groups = []
    for name in dict.fromkeys(str(card.bot.server.environment) for card in cards):
        there = [bot for bot in everyone if bot.environment == name]
        groups.append(
            Group(
                name,
                len(there),
                sum(bot.condition == Condition.CONNECTED for bot in there),
                [card for card in cards if str(card.bot.server.environment) == name],
            )
        )
    return groups
