"""How deploying has gone: the four DORA measures and the success rate, from the records.

- success rate: of the deployments that began, those that succeeded
- lead time: from a release's build to its verified deployment
- change failure rate: deployments that failed, reverted, were interrupted, or were rolled back afterwards
- time to restore: of a rollback, from its request to its verification; of a deployment that reverted itself, from its
  begin to its end
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from deployments.core.selectors import environments_called
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment

DAYS = 90
MOST = 1000  # the latest; enough for a rate, and it bounds the work
_BEGUN = (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED)


@dataclass(frozen=True)
class Statistics:
    """Measures over the last DAYS days; None where there is nothing to measure. Times in seconds."""

    deployments: int
    rollbacks: int
    success_rate: float | None
    change_fail_rate: float | None
    median_seconds: float | None
    lead_seconds: float | None
    restore_seconds: float | None
    per_week: float


class _Row(NamedTuple):
    pk: int
    kind: str
    status: str
    requested_at: datetime
    started_at: datetime
    finished_at: datetime
    built_at: datetime
    rollback_of: int | None


def statistics(environment: str, now: datetime) -> Statistics:
    """The measures of one environment, or of all when `environment` is empty. One query."""
    # their statuses are looked at here: SQLite would take the index on those and read all that there ever were
    rows = Deployment.objects.filter(finished_at__gte=now - timedelta(days=DAYS), started_at__isnull=False)
    if environment:
        rows = rows.filter(environment__in=environments_called(environment))
    values = rows.order_by("-finished_at").values_list(
        "pk", "kind", "status", "requested_at", "started_at", "finished_at", "release__built_at", "rollback_of_id"
    )
    ended = [_Row(*row) for row in values[:MOST]]  # type: ignore[arg-type]  # started and ended, see filter
    return _measured([row for row in ended if row.status in _BEGUN], now)


def _measured(rows: Sequence[_Row], now: datetime) -> Statistics:
    changes = [row for row in rows if row.kind == Kind.DEPLOYMENT]
    good = [row for row in changes if row.status == Status.SUCCEEDED]
    back = [row for row in rows if row.kind == Kind.ROLLBACK and row.status == Status.SUCCEEDED]
    undone = {row.rollback_of for row in back}
    failed = [row for row in changes if row.status != Status.SUCCEEDED or row.pk in undone]
    restores = [(row.finished_at - row.requested_at).total_seconds() for row in back] + [
        (row.finished_at - row.started_at).total_seconds() for row in changes if row.status == Status.ROLLED_BACK
    ]
    weeks = max(1.0, (now - rows[-1].finished_at).total_seconds() / (7 * 86400)) if rows else 1.0
    return Statistics(
        deployments=len(changes),
        rollbacks=len(back),
        success_rate=len(good) / len(changes) if changes else None,
        change_fail_rate=len(failed) / len(changes) if changes else None,
        median_seconds=_median([(row.finished_at - row.started_at).total_seconds() for row in good]),
        lead_seconds=_median([(row.finished_at - row.built_at).total_seconds() for row in good]),
        restore_seconds=_median(restores),
        per_week=len(changes) / weeks,
    )


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
