"""One bot's own page."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.urls import reverse

from alerting.summary import Mood, Summary, summary
from dashboard.charts.bars import DayBar, overall_said
from dashboard.charts.timeline import Mark
from dashboard.models import StatusPage
from dashboard.selectors import bots as bot_rows
from dashboard.selectors import events
from dashboard.selectors.bots import Bot
from dashboard.selectors.overall_status import OverallStatus
from dashboard.selectors.series import Series, series
from dashboard.selectors.status import Card, Choice, charts_range
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.lifecycle import Status
from deployments.models import Deployment, Server
from deployments.operations.selectors import offered, reads_journal


@dataclass(frozen=True)
class Detail:
    """Everything the page of one bot shows."""

    page: StatusPage
    members: bool
    card: Card
    series: Series | None
    marks: list[Mark]
    situation: OverallStatus
    drift: list[str]
    actions: list[tuple[str, str]]
    """What this person may do to its service now, each with the page that says what comes of it."""
    may_acknowledge: bool = False
    deployment: int | None = None
    """The number of the one that brought what it runs."""

    @property
    def mood(self) -> Mood:
        """How the service itself is, or worse: what fires about it and needs action."""
        alone = replace(self.situation, alerts=Summary([], "")).mood
        return self.situation.mood if self.situation.alerts.need else alone

    @property
    def icon(self) -> str:
        """Of the service's own state; of the alerts where it is well and they are not."""
        well = self.bot.grade == "connected"
        return self.mood if well and self.situation.alerts.need else self.bot.grade

    @property
    def bot(self) -> Bot:
        """The bot itself."""
        return self.card.bot

    @property
    def bars(self) -> list[DayBar]:
        """Ninety days, the latest first, for the table."""
        return self.card.bars[::-1]


def detail(page: StatusPage, bot: Bot, choice: Choice, now: datetime, *, actor: Actor | None) -> Detail:
    """The page of `bot`, for a member or for anybody. Eight queries."""
    members = actor is not None
    bars = bot_rows.uptime_bars([bot], now)[bot.server.pk]
    card = Card(bot, bot_rows.last_days([bot], now)[bot.server.pk], bars, overall_said(bars))
    drawn = series(bot.server, charts_range(bot, choice, now), now) if members or page.show_charts else None
    marks = events.marks(bot.server, drawn.start, drawn.end, page, members=members) if drawn else []
    firing = Summary(summary(now, bot.server).firing if members or page.show_alerts else [], "")
    drift = bot.server.open_drift if members else []
    found = Detail(page, members, card, drawn, marks, OverallStatus([bot], firing), drift, actions(bot.server, actor))
    if actor is None:
        return found
    in_hand = may(actor, Verb.ACKNOWLEDGE, bot.server.environment)
    return replace(found, may_acknowledge=in_hand, deployment=_brought_by(bot.server))


def _brought_by(server: Server) -> int | None:
    rows = Deployment.objects.filter(
        environment=server.environment_id, release=server.current_release_id, status=Status.SUCCEEDED
    )
    return rows.order_by("-pk").values_list("pk", flat=True).first()


def actions(server: Server, actor: Actor | None) -> list[tuple[str, str]]:
    """What this person may do to a server's service now, each with the page that says what comes of it."""
    if actor is None:
        return []
    read = [("Journal", reverse("journal", args=[server.name]))] if reads_journal(actor=actor, server=server) else []
    return read + [
        (kind.label, reverse(f"admin:deployments_server_{kind.value}", args=[server.pk]))
        for kind in offered(actor=actor, server=server)
    ]
