"""What became of releases so far: asking, approving and the list of releases say it from here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Max

from deployments.lifecycle import Status
from deployments.models import Deployment, Release, Server

_BAD: dict[str, str] = {
    Status.FAILED: "failed on",
    Status.ROLLED_BACK: "failed on",
    Status.INTERRUPTED: "was interrupted on",
    Status.REJECTED: "was rejected for",
}
_WENT = {Status.SUCCEEDED: "ran on", **_BAD}
_LIVE = "is live on"


@dataclass(frozen=True)
class Happening:
    """How a release fared in an environment; `deployment` is the last that went so, None where servers alone say it."""

    went: str
    environment: str
    deployment: int | None = None
    at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.went} {self.environment}"

    @property
    def bad(self) -> bool:
        """Whether it speaks against deploying the release."""
        return self.went in _BAD.values()

    @property
    def short(self) -> str:
        """For a chip: `live on production`."""
        return str(self).removeprefix("is ").removeprefix("was ")

    @property
    def grade(self) -> str:
        """The status whose colour it has: a person's no is no failure."""
        if self.went == _BAD[Status.REJECTED]:
            return Status.AWAITING_APPROVAL
        return Status.FAILED if self.bad else Status.SUCCEEDED if self.live else Status.EXPIRED

    @property
    def live(self) -> bool:
        """Whether servers of the environment run it now."""
        return self.went == _LIVE


@dataclass(frozen=True)
class ReleaseRecord:
    """A release, where it ran or failed, and what was decided about it; what happened last stands last."""

    release: Release
    history: Sequence[Happening]

    @property
    def doubtful(self) -> bool:
        """Whether something speaks against deploying it."""
        return self.release.quarantined or any(one.bad for one in self.history)

    def live_on(self, environment: str) -> bool:
        """Whether servers of the environment of that name run it now."""
        return any(one.live and one.environment == environment for one in self.history)

    def last_on(self, environment: str) -> Happening | None:
        """What became of it last in the environment of that name."""
        return next((one for one in reversed(self.history) if one.environment == environment), None)

    @property
    def digest(self) -> str:
        """The first figures of what tells it from another of its version."""
        return self.release.identifier.rpartition("-")[2][:7]

    @property
    def subject(self) -> str:
        """What its change log says first."""
        return next((line for line in self.release.change_log.splitlines() if line), "")


def records_of(releases: Iterable[Release], *, without: Deployment | None = None) -> list[ReleaseRecord]:
    """What became of each, `without` a deployment that is looked at itself. Two queries."""
    releases = list(releases)
    pks = [row.pk for row in releases]
    # by status as well, a database would rather read every deployment that ended than those of these releases
    rows = Deployment.objects.filter(release__in=pks).order_by()
    if without is not None:
        rows = rows.exclude(pk=without.pk)
    columns = ("release_id", "status", "environment__name")
    ended = rows.values_list(*columns).annotate(last=Max("pk"), at=Max("finished_at"))
    history: dict[int, dict[tuple[str, str], Happening]] = {pk: {} for pk in pks}
    went = [row for row in ended if row[1] in _WENT]
    for release, status, where, last, at in sorted(went, key=lambda row: row[3]):
        history[release][_WENT[status], where] = Happening(_WENT[status], where, last, at)
    running = Server.objects.filter(current_release__in=pks).exclude(state=Server.State.RETIRED).order_by()
    for release, where in running.values_list("current_release_id", "environment__name").distinct():
        ran = history[release].pop((_WENT[Status.SUCCEEDED], where), None)
        history[release][_LIVE, where] = Happening(
            _LIVE, where, ran.deployment if ran else None, ran.at if ran else None
        )
    return [ReleaseRecord(row, sorted(history[row.pk].values(), key=_when)) for row in releases]


def _when(one: Happening) -> tuple[bool, int, str]:
    """What has no deployment stands for now."""
    return one.deployment is None, one.deployment or 0, one.environment
