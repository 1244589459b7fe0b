"""What the records of ninety days say of deployments and rollbacks: read once, for all applications together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Max, Q

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
    rows = (
        Deployment.objects.filter(status__in=_ENDED, finished_at__gte=now - RECORDS)
        .order_by()
        .values("environment__application", "kind")
        .annotate(
            all=Count("pk"),
            number=Count("pk", filter=good),
            slowest=Max(F("finished_at") - F("started_at"), filter=good),
            asked=Max(F("finished_at") - F("requested_at"), filter=good),
            unverified=Count("pk", filter=good & Q(verified_at=None)),
        )
    )
    found: dict[str, dict[str, Took]] = {}
    for row in rows:
        longest = row["asked"] if row["kind"] == Kind.ROLLBACK else row["slowest"]
        took = Took(row["all"], row["number"], longest.total_seconds() if longest else 0.0, row["unverified"])
        found.setdefault(row["environment__application"], {})[row["kind"]] = took
    return dict(found)
