"""What the records of ninety days say of deployments and rollbacks: read once, for several applications together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q

from deployments.core.selectors import SecondsBetween
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment

RECORDS = timedelta(days=90)
_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED)


@dataclass(frozen=True)
class Took:
    """Deployments or rollbacks of one application: how many ended, how many well, and how long the slowest took."""

    ended: int = 0
    count: int = 0
    slowest: float = 0.0
    unverified: int = 0

    def beside(self, other: "Took") -> "Took":
        """Both together."""
        slowest = max(self.slowest, other.slowest)
        ended, count = self.ended + other.ended, self.count + other.count
        return Took(ended, count, slowest, self.unverified + other.unverified)


def deployment_records(now: datetime, applications: Iterable[str]) -> dict[str, Mapping[str, Took]]:
    """By application, of these, and kind; what is not there did nothing. Two queries."""
    theirs = dict(Environment.objects.filter(application__in=applications).values_list("pk", "application"))
    good = Q(status=Status.SUCCEEDED, started_at__isnull=False)
    # what ended is told apart in the counts: by a status SQLite would look up all that ever had it
    rows = (
        Deployment.objects.filter(environment__in=list(theirs), finished_at__gte=now - RECORDS)
        .order_by()
        .values("environment", "kind")
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
        kinds = found.setdefault(theirs[row["environment"]], {})
        kinds[row["kind"]] = kinds.get(row["kind"], Took()).beside(took)
    return dict(found)
