"""Where every environment may go back to, at once: what `rollback_targets` says of one, read ahead for all of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.db.models import Max, Q

from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.audit_evidence import Evidence
from deployments.requests.rollback_targets import is_way_back, lacking_of

MOST = 50
"""Releases of one environment that are looked at, the one that ran last first."""


class _Succeeded(NamedTuple):
    """One release in one environment: when it succeeded last, and the newest deployment (not rollback) that did."""

    environment: int
    release: int
    quarantined: datetime | None
    last: datetime
    went_back: datetime | None
    consent: int | None


def all_rollback_targets(environments: Sequence[Environment], count: int) -> dict[int, list[int]]:
    """The numbers of the first `count` of `releases_to_go_back_to` in each environment, by the environment's number.

    Five queries; a release whose newest success there is no consent is looked at by itself.
    """
    candidates = _candidates([environment.pk for environment in environments])
    likely = [each.consent for found in candidates.values() for each in found[:count] if each.consent]
    consents = _consents(likely, environments)
    return {
        environment.pk: list(islice(_of(environment, candidates.get(environment.pk, ()), consents), count))
        for environment in environments
    }


def _of(environment: Environment, candidates: Sequence[_Succeeded], consents: set[int]) -> Iterator[int]:
    for each in candidates:
        if each.consent is None:  # it has only been gone back to
            continue
        if each.consent in consents or is_way_back(environment, Release.objects.get(pk=each.release)):
            yield each.release


def _candidates(pks: Sequence[int]) -> dict[int, list[_Succeeded]]:
    """Of each environment what it could go back to, the one that ran last first. Two queries."""
    rows = (
        Deployment.objects.filter(environment__in=pks, status=Status.SUCCEEDED, finished_at__isnull=False)
        .order_by()
        .values_list("environment_id", "release_id", "release__quarantined_at")
        .annotate(
            last=Max("finished_at"),
            went_back=Max("finished_at", filter=Q(kind=Kind.ROLLBACK)),
            consent=Max("pk", filter=Q(kind=Kind.DEPLOYMENT)),
        )
    )
    found: dict[int, list[_Succeeded]] = {}
    for row in sorted((_Succeeded(*row) for row in rows), key=lambda each: each.last, reverse=True):
        found.setdefault(row.environment, []).append(row)
    taken_back = Server.objects.filter(environment__in=pks, current_release__quarantined_at__isnull=False)
    running = set(taken_back.exclude(state=Server.State.RETIRED).values_list("environment_id", "current_release_id"))
    return {pk: _without_live(succeeded, running)[:MOST] for pk, succeeded in found.items()}


def _without_live(succeeded: list[_Succeeded], running: set[tuple[int, int]]) -> list[_Succeeded]:
    """Without quarantine and the live release, unless a server was left out of the way back to that (`left_out`)."""
    live = succeeded[0]
    others = [each for each in succeeded[1:] if not each.quarantined]
    left = [each for each in succeeded[1:] if (each.environment, each.release) in running]
    return [live, *others] if left and live.went_back == live.last and not live.quarantined else others


def _consents(numbers: Sequence[int], environments: Sequence[Environment]) -> set[int]:
    """Those of these successes that are a consent to go back to them. Three queries."""
    given = {environment.pk: environment for environment in environments}
    rows = Deployment.objects.filter(pk__in=numbers).select_related("release").order_by()
    read = list(rows.defer("release__change_log"))
    for row in read:
        row.environment = given[row.environment_id]
    return {number for number, evidence in Evidence.of_all(read).items() if not lacking_of(evidence)}
