"""One bot's own page."""

from dataclasses import dataclass
from datetime import datetime

from alerting import selectors as alerts
from dashboard.charts.bars import DayBar, overall
from dashboard.charts.timeline import Mark
from dashboard.models import StatusPage
from dashboard.selectors import bots as bot_rows
from dashboard.selectors import events
from dashboard.selectors.bots import Bot
from dashboard.selectors.series import Series, series
from dashboard.selectors.status import Card, Choice, charts_range


@dataclass(frozen=True)
class Detail:
    """Everything the page of one bot shows."""

    page: StatusPage
    members: bool
    card: Card
    series: Series | None
    marks: list[Mark]
    alerts: list[alerts.Shown]
    drift: list[str]

    @property
    def bot(self) -> Bot:
        """The bot itself."""
        return self.card.bot

    @property
    def bars(self) -> list[DayBar]:
        """Ninety days, the latest first, for the table."""
        return self.card.bars[::-1]


def detail(page: StatusPage, bot: Bot, choice: Choice, now: datetime, *, members: bool) -> Detail:
    """The page of `bot`. Seven queries."""
    bars = bot_rows.uptime_bars([bot], now)[bot.server.pk]
    card = Card(bot, bot_rows.last_days([bot], now)[bot.server.pk], bars, overall(bars))
    drawn = series(bot.server, charts_range(bot, choice, now), now) if members or page.show_charts else None
    marks = events.marks(bot.server.environment, drawn.start, drawn.end, page, members=members) if drawn else []
    firing = alerts.firing(now, bot.server) if members or page.show_alerts else []
    drift = bot.server.open_drift if members else []
    return Detail(page, members, card, drawn, marks, firing, drift)
