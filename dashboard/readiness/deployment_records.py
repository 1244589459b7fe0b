"""What the records of ninety days say of deployments and rollbacks: read once, for all applications together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q

from deployments.core.selectors import SecondsBetween
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment

RECORDS = timedelta(days=90)
_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED)


@dataclass(frozen=True)
class Took:
    """Deployments or rollbacks of one application: how many ended, how many well, and how long the slowest took."""

    ended: int = 0
    count: int = 0
    slowest: float = 0.0
    unverified: int = 0


def deployment_records(now: datetime) -> dict[str, Mapping[str, Took]]:
    """By application and kind; what is not there did nothing. One query."""
    good = Q(status=Status.SUCCEEDED, started_at__isnull=False)
    # what ended is told apart in the counts: by a status SQLite would look up all that ever had it
    rows = (
        Deployment.objects.filter(finished_at__gte=now - RECORDS)
        .order_by()
        .values("environment__application", "kind")
        .annotate(
            all=Count("pk", filter=Q(status__in=_ENDED)),
            number=Count("pk", filter=good),
            slowest=Max(SecondsBetween("finished_at", "started_at"), filter=good),
            asked=Max(SecondsBetween("finished_at", "requested_at"), filter=good),
            unverified=Count("pk", filter=good & Q(verified_at=None)),
        )
    )
    found: dict[str, dict[str, Took]] = {}
    for row in rows:
        longest = row["asked"] if row["kind"] == Kind.ROLLBACK else row["slowest"]
        took = Took(row["all"], row["number"], longest or 0.0, row["unverified"])
        found.setdefault(row["environment__application"], {})[row["kind"]] = took
    return dict(found)
