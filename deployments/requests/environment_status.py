"""How many environments stand at once, for pages and lists: a fixed number of queries, whatever there are of them.

What it says of one is what `core.selectors` and `rollback_targets` say: those decide, this only reads ahead.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from django.db.models import Case, Exists, F, OuterRef, Subquery, When
from django.utils import timezone

from deployments.core.selectors import gone, newest_of_each, seconds_of_each
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Maintenance, Release, Server
from deployments.requests.audit_evidence import Evidence
from deployments.requests.rollback_targets import lacking_of, rollback_target

_MEASURED = 10


@dataclass(frozen=True)
class EnvironmentStatus:
    """One environment: what runs, what goes on, what was done there last, and where it can go back to.

    A request that ended before it began, such as one that was rejected, did nothing there.
    """

    live: Release | None
    active: Deployment | None
    last: Deployment | None
    way_back: Release | None
    rollback_seconds: float | None
    maintenance: Maintenance | None = None
    """The window that holds now."""

    @property
    def can_roll_back(self) -> bool:
        """Whether there is an earlier release to go back to, or something running to end."""
        return self.active is not None or self.way_back is not None


def environment_statuses(environments: Sequence[Environment]) -> dict[int, EnvironmentStatus]:
    """The standing of each environment, by its number. Ten queries."""
    pks = [environment.pk for environment in environments]
    ended = Deployment.objects.filter(started_at__isnull=False, finished_at__isnull=False).order_by(
        "-finished_at", "-id"
    )
    went_back = Deployment.objects.filter(kind=Kind.ROLLBACK, status=Status.SUCCEEDED, started_at__isnull=False)
    last = newest_of_each(pks, ended.order_by("-finished_at", "-id"), 1)
    took = seconds_of_each(pks, went_back.order_by("-id"), _MEASURED)
    successes = _successes(pks)
    rows = _rows({pk for each in (*last.values(), *successes.values()) for pk in each if pk}, environments)
    running = Deployment.objects.active().filter(environment__in=pks).select_related("release").defer("snapshot")
    active = {row.environment_id: row for row in running.order_by()}
    evidence = _evidence([rows[candidate] for _, candidate in successes.values() if candidate])
    windows = Maintenance.objects.under_way(timezone.now()).filter(environment__in=pks)
    maintained = {row.environment_id: row for row in windows}
    found = {}
    for environment in environments:
        live, candidate = successes[environment.pk]
        found[environment.pk] = EnvironmentStatus(
            live=rows[live].release if live else None,
            active=active.get(environment.pk),
            last=next((rows[pk] for pk in last[environment.pk]), None),
            way_back=_way_back(environment, evidence[candidate]) if candidate else None,
            rollback_seconds=median(took[environment.pk]) if took[environment.pk] else None,
            maintenance=maintained.get(environment.pk),
        )
    return found


def _successes(pks: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
    """Of each environment its newest success, and the newest of another release that is not in quarantine.

    In place of the second the first again where that is a rollback and a server runs what it took back. Neither where
    nothing runs on any server that the newest went to.
    """
    own = Deployment.objects.filter(environment=OuterRef("pk"), status=Status.SUCCEEDED)
    own = own.order_by("-finished_at", "-id")
    others = own.exclude(release=OuterRef("live_release")).filter(release__quarantined_at=None)
    found = Environment.objects.filter(pk__in=pks).order_by()
    found = found.annotate(live=Subquery(own.values("pk")[:1]), live_release=Subquery(own.values("release")[:1]))
    found = found.annotate(live_kind=Subquery(own.values("kind")[:1]))
    servers = Server.objects.filter(environment=OuterRef("pk"), current_release__quarantined_at__isnull=False)
    left_out = Exists(servers.exclude(state=Server.State.RETIRED).exclude(current_release=OuterRef("live_release")))
    again = When(left_out, live_kind=Kind.ROLLBACK, then=F("live"))
    found = found.annotate(candidate=Case(again, default=Subquery(others.values("pk")[:1])))
    found = found.annotate(gone=Subquery(own.annotate(none_left=gone()).values("none_left")[:1]))
    rows = found.values_list("pk", "live", "candidate", "gone")
    return {pk: (None, None) if none_left else (live, other) for pk, live, other, none_left in rows}


def _way_back(environment: Environment, candidate: Evidence) -> Release | None:
    """What `rollback_target` finds: the candidate where its own approvals stand, else what a search finds."""
    row = candidate.deployment
    if row.kind == Kind.DEPLOYMENT and not lacking_of(candidate):
        return row.release
    return rollback_target(environment)


def _evidence(candidates: list[Deployment]) -> dict[int, Evidence]:
    """Of each, with what was sealed: what a release is judged by is read for these alone."""
    sealed = dict(Deployment.objects.filter(pk__in=[row.pk for row in candidates]).values_list("pk", "snapshot"))
    for row in candidates:
        row.snapshot = sealed[row.pk]
    return Evidence.of_all(candidates)


def _rows(numbers: Iterable[int], environments: Sequence[Environment]) -> dict[int, Deployment]:
    """These deployments, with the environments as they were given: a joined one has its key decrypted each time."""
    given = {environment.pk: environment for environment in environments}
    rows = Deployment.objects.filter(pk__in=numbers).select_related("release").order_by()
    found = {row.pk: row for row in rows.defer("snapshot", "release__change_log")}
    for row in found.values():
        row.environment = given[row.environment_id]
    return found
