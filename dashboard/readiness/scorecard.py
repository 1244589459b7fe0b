"""The scorecard: per application ten conditions and its limits, each pass, fail or not measured yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.readiness import conditions, rollback_targets
from dashboard.readiness.deployment_records import Took, deployment_records
from dashboard.readiness.limits import Seen, limits
from dashboard.readiness.observed_window import Record
from dashboard.readiness.rows import Row, Verdict
from dashboard.selectors import bots
from dashboard.selectors.bots import Bot
from deployments.models import Environment, Server

_URGENCY = (Verdict.FAIL, Verdict.UNMEASURED, Verdict.PASS)


@dataclass(frozen=True)
class Scorecard:
    """What is known of one application; its name is empty where its environments are bound to none."""

    application: str
    conditions: list[Row]
    limits: list[Row]

    @property
    def rows(self) -> list[Row]:
        """All of them, the ten first."""
        return [*self.conditions, *self.limits]

    @property
    def groups(self) -> list[tuple[Verdict, list[Row]]]:
        """Them by verdict: what fails, what nobody has measured, what passes."""
        sorted_rows = [(one, [row for row in self.rows if row.verdict is one]) for one in _URGENCY]
        return [(verdict, rows) for verdict, rows in sorted_rows if rows]

    @property
    def title(self) -> str:
        """The application, as a heading."""
        return self.application or "Not bound to an application"


@dataclass(frozen=True)
class _Common:
    """What is true of the whole portal, and known of all bots and servers: read once for all applications."""

    alerts: Row
    trusted: Row
    rehearsal: conditions.Rehearsal
    series: conditions.Series
    seen: Seen
    ways: Mapping[str, rollback_targets.WayBack]

    @classmethod
    def read(cls, names: Sequence[str], everyone: Sequence[Bot], now: datetime) -> "_Common":
        """A fixed number of queries, and one question to Prometheus."""
        record = Record.read(now)
        return cls(
            conditions.alerts(record),
            conditions.trusted(record),
            conditions.rehearsal(now),
            conditions.series(),
            Seen.of(everyone, record),
            rollback_targets.of_applications(now, names),
        )


def applications() -> list[str]:
    """Those with a scorecard, in the order of their environments."""
    inuse = Environment.objects.filter(retired_at=None).order_by("order", "name")
    names = dict.fromkeys(inuse.values_list("application", flat=True))
    if len(names) > 1:  # environments in which nothing was deployed yet belong to no application
        names.pop("", None)
    return list(names)


def scorecards(now: datetime, of: Sequence[str] | None = None) -> list[Scorecard]:
    """One per application, or of these alone.

    As many queries however many there are, but for two of condition 3, which asks a bot of each.
    """
    names = applications() if of is None else of
    theirs_alone = Server.objects.filter(environment__application__in=names).values_list("pk", flat=True)
    everyone = bots.all_bots(now, None if of is None else theirs_alone)
    common = _Common.read(names, everyone, now)
    records = deployment_records(now, names)
    theirs: dict[str, list[Bot]] = {}
    for bot in everyone:
        theirs.setdefault(bot.server.environment.application, []).append(bot)
    return [_scorecard(name, theirs.get(name, []), records.get(name, {}), common) for name in names]


def counted(cards: Sequence[Scorecard]) -> dict[Verdict, int]:
    """How many rows have each verdict."""
    rows = [row for card in cards for row in card.rows]
    return {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}


def _scorecard(application: str, ours: list[Bot], took: Mapping[str, Took], common: _Common) -> Scorecard:
    """By its bots and its records. Of an application without a room only what it could meet."""
    record = common.seen.record
    production = [bot for bot in ours if _is_production(bot)]
    test = [bot for bot in ours if not _is_production(bot)]
    of_rooms = all(bot.has_room for bot in ours)  # nobody promised figures of a service without a room
    rows = [
        conditions.running(1, "test", test),
        conditions.running(2, "production", production),
        conditions.health(production),
        *([conditions.collected(ours, common.series)] if of_rooms else []),
        conditions.shown(ours),
        common.alerts,
        conditions.rehearsed(common.ways.get(application, rollback_targets.NOWHERE), common.rehearsal, record),
        *([conditions.traffic(production, common.seen.days, record.now)] if of_rooms else []),
        conditions.measured(took, record),
        common.trusted,
    ]
    return Scorecard(application, rows, limits(took, ours, common.seen))


def _is_production(bot: Bot) -> bool:
    return bot.server.environment.name == "production" or bot.server.environment.protected
