"""How deploying goes in each environment, week by week: the four DORA measures, from the records.

- deployment frequency: deployments that succeeded, by the week in which they ended
- lead time: from a release's build to the first time that it was verified in this environment
- change-fail rate: of the deployments that began and ended, those that failed, were reverted or interrupted, or
  succeeded and were rolled back afterwards
- time to restore: of a rollback, from its request to its verification; of a deployment that reverted itself, from its
  begin to its end

Drills count in none of them. How many rows each figure stands on is part of it, and a week before the portal knew the
environment has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, Count, DateTimeField, Exists, F, OuterRef, Q, QuerySet, Value, When, Window
from django.db.models.functions import Coalesce, RowNumber, TruncWeek

from dashboard.charts.line import columns
from dashboard.selectors.series import Chart
from deployments.core.texts import spoken
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment

WEEKS = 12
_WEEK = timedelta(days=7)
_BEGUN = (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED)
_UNITS = ((86400, " d"), (3600, " h"), (60, " min"), (1, " s"))
Key = tuple[Any, ...]


class Median(NamedTuple):
    """The middle of some times in seconds, and how many they were."""

    seconds: float
    of: int


@dataclass(frozen=True)
class Figures:
    """What the deployments that ended in one stretch of time say; `ended` of them began, `live` succeeded."""

    ended: int = 0
    live: int = 0
    failed: int = 0
    lead: Median | None = None
    restore: Median | None = None
    took: Median | None = None

    @property
    def fail_rate(self) -> float | None:
        """The part that failed; None when nothing ended."""
        return self.failed / self.ended if self.ended else None

    @property
    def live_said(self) -> str:
        """How many went live, of how many."""
        return f"{self.live} of {_counted(self.ended, 'deployment')}" if self.ended else "0"

    @property
    def lead_said(self) -> str:
        """The lead time, and on how many it stands."""
        if self.lead is None:
            return "not measured: no release went live for the first time"
        return f"{spoken(self.lead.seconds)}, on {self.lead.of} of {_counted(self.ended, 'deployment')}"

    @property
    def failed_said(self) -> str:
        """The part that failed, with its numbers."""
        if self.fail_rate is None:
            return "not measured: no deployment ended"
        return f"{100 * self.fail_rate:.3g} %, {self.failed} of {_counted(self.ended, 'deployment')}"

    @property
    def restore_said(self) -> str:
        """The time to restore, and on how many ways back it stands."""
        if self.restore is None:
            return "not measured: nothing was taken back"
        return f"{spoken(self.restore.seconds)}, on {self.restore.of} taken back"


@dataclass(frozen=True)
class Week:
    """One week; `figures` is None for one that was over before the portal knew the environment."""

    begins: datetime
    figures: Figures | None


@dataclass(frozen=True)
class Trend:
    """One environment over the whole window, and week by week."""

    environment: Environment
    total: Figures
    weeks: list[Week]
    charts: list[Chart]
    known_since: datetime


def first_week(now: datetime) -> datetime:
    """The Monday (UTC) with which the window begins; the week of `now` is its last."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday()) - (WEEKS - 1) * _WEEK


def trends(environments: Sequence[Environment], now: datetime) -> list[Trend]:
    """Each of these environments over the last `WEEKS` weeks. Six queries."""
    start = first_week(now)
    ended = Deployment.objects.filter(
        environment__in=environments,
        drill__in=[False],  # not drill=False, which is written as NOT: no index is looked up by that
        started_at__isnull=False,
        finished_at__gte=start,
        finished_at__lte=now,
    ).annotate(week=TruncWeek("finished_at", tzinfo=UTC))
    counts = _counts(ended, _undone(environments, start))
    weekly = _times(ended, "week")
    whole = _times(ended)
    whole["took"] = _medians(_went_live(ended), F("verified_at") - F("started_at"))
    begins = [start + index * _WEEK for index in range(WEEKS)]
    return [_trend(row, begins, counts, weekly, whole, now) for row in environments]


def _trend(
    row: Environment,
    begins: Sequence[datetime],
    counts: Mapping[Key, tuple[int, int, int]],
    weekly: Mapping[str, Mapping[Key, Median]],
    whole: Mapping[str, Mapping[Key, Median]],
    now: datetime,
) -> Trend:
    recorded = [begin for begin in begins if (row.pk, begin) in counts]
    since = min([row.created_at, *recorded])
    weeks = []
    for begin in begins:
        key = (row.pk, begin)
        known = begin + _WEEK > since
        weeks.append(Week(begin, _figures(counts.get(key, (0, 0, 0)), weekly, key) if known else None))
    ended, live, failed = (sum(counts[row.pk, begin][index] for begin in recorded) for index in range(3))
    total = _figures((ended, live, failed), whole, (row.pk,))
    return Trend(row, total, weeks, _charts(total, weeks, now - max(since, begins[0])), since)


def _figures(counted: tuple[int, int, int], medians: Mapping[str, Mapping[Key, Median]], key: Key) -> Figures:
    lead, restore, took = (medians.get(name, {}).get(key) for name in ("lead", "restore", "took"))
    return Figures(*counted, lead=lead, restore=restore, took=took)


def _undone(environments: Sequence[Environment], start: datetime) -> Q:
    """Taken back since `start`: looked up once, and not for each deployment among all rollbacks there ever were."""
    back = Deployment.objects.filter(environment__in=environments, status=Status.SUCCEEDED, finished_at__gte=start)
    back = back.filter(kind=Kind.ROLLBACK, drill__in=[False], rollback_of__isnull=False).order_by()
    return Q(pk__in=back.values("rollback_of"))


def _counts(ended: QuerySet[Deployment], undone: Q) -> dict[Key, tuple[int, int, int]]:
    """By environment and week: how many ended, went live, failed."""
    rows = (
        ended.filter(kind=Kind.DEPLOYMENT, status__in=_BEGUN)
        .annotate(undone=undone)
        .order_by()
        .values("environment_id", "week")
        .annotate(
            begun=Count("pk"),
            live=Count("pk", filter=Q(status=Status.SUCCEEDED)),
            failed=Count("pk", filter=~Q(status=Status.SUCCEEDED) | Q(undone=True)),
        )
        .values_list("environment_id", "week", "begun", "live", "failed")
    )
    return {(environment, week): (ended, live, failed) for environment, week, ended, live, failed in rows}


def _times(ended: QuerySet[Deployment], *by: str) -> dict[str, dict[Key, Median]]:
    begun = Case(
        When(kind=Kind.ROLLBACK, then=F("requested_at")), default=F("started_at"), output_field=DateTimeField()
    )
    restored = Q(kind=Kind.ROLLBACK, status=Status.SUCCEEDED) | Q(kind=Kind.DEPLOYMENT, status=Status.ROLLED_BACK)
    return {
        "lead": _medians(_first_time(ended), F("verified_at") - F("release__built_at"), *by),
        "restore": _medians(ended.filter(restored), F("finished_at") - begun, *by),
    }


def _went_live(ended: QuerySet[Deployment]) -> QuerySet[Deployment]:
    return ended.filter(kind=Kind.DEPLOYMENT, status=Status.SUCCEEDED, verified_at__isnull=False)


def _first_time(ended: QuerySet[Deployment]) -> QuerySet[Deployment]:
    """Releases that were new here. One whose record is younger than its deployment was taken over from a server."""
    # not `environment=`: SQLite would read all earlier successes there, for each one again; those of a release are few
    before = Deployment.objects.alias(place=Coalesce("environment_id", Value(0))).filter(
        place=OuterRef("environment"),
        release=OuterRef("release"),
        kind__in=Kind.values,
        status=Status.SUCCEEDED,
        finished_at__lt=OuterRef("finished_at"),
    )
    return _went_live(ended).filter(~Exists(before), verified_at__gte=F("release__built_at"))


def _medians(rows: QuerySet[Deployment], took: Any, *by: str) -> dict[Key, Median]:
    """The median of `took` by environment and `by`: the one or two in the middle, which the database finds."""
    key = ("environment_id", *by)
    partition = [F(name) for name in key]
    middle = (
        rows.order_by()
        .annotate(took=took)
        .annotate(
            many=Window(Count("pk"), partition_by=partition),
            place=Window(RowNumber(), partition_by=partition, order_by=[F("took"), F("pk")]),
        )
        .annotate(off=2 * F("place") - F("many"))
        .filter(off__gte=0, off__lte=2)
        .values_list(*key, "took", "many")
    )
    found: dict[Key, list[tuple[float, int]]] = {}
    for *where, span, many in middle:
        found.setdefault(tuple(where), []).append((span.total_seconds(), many))
    return {
        where: Median(sum(seconds for seconds, _ in values) / len(values), values[0][1])
        for where, values in found.items()
    }


def _charts(total: Figures, weeks: Sequence[Week], known: timedelta) -> list[Chart]:
    known_weeks = max(1.0, known / _WEEK)
    figures = [week.figures for week in weeks]
    frequency = f"{total.live_said}, {total.live / known_weeks:.1f} a week"
    leads, restores = ([getattr(each, name, None) for each in figures] for name in ("lead", "restore"))
    return [
        Chart("live", "Went live", "", columns([each.live if each else None for each in figures]), frequency),
        _timed("lead", "Lead time, release built → live", leads, total.lead_said),
        Chart(
            "failed",
            "Change-fail rate",
            " %",
            columns([None if not each or each.fail_rate is None else 100 * each.fail_rate for each in figures]),
            total.failed_said,
        ),
        _timed("restore", "Time to restore", restores, total.restore_said),
    ]


def _timed(key: str, title: str, medians: Sequence[Median | None], said: str) -> Chart:
    """A chart of times in the largest unit that the longest of them fills."""
    longest = max((median.seconds for median in medians if median), default=0.0)
    size, unit = next((pair for pair in _UNITS if longest >= pair[0]), _UNITS[-1])
    return Chart(key, title, unit, columns([median.seconds / size if median else None for median in medians]), said)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
