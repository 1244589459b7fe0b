"""Which release is meant when nobody names one: page, API and commands ask here.

What came before in the order of an application's environments has tried it: its newest success is the default for the
next. What failed or was reverted where it would go is not tried again unless somebody says so.
"""

from django.db.models import Q, QuerySet

from deployments.core import selectors
from deployments.environments.applications import refuse_other_application
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.releases.origin import taken_by
from engine.errors import InvalidRequest

_BAD = frozenset({Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED})
_TRIED = _BAD | {Status.SUCCEEDED}
LOOKED_AT = 50
"""Releases that are looked at, newest first."""
NAMED = 3
"""Newer releases of which somebody is told why they are passed over."""


def choose_release(environment: Environment, *, again: bool = False) -> Release:
    """The release to deploy to `environment` unless one is named.

    The newest that succeeded in the environment before it, or the newest of all where there is none or nobody deployed
    to it yet; of these not what ended badly here at its last attempt, unless `again`. Raises NotFound, InvalidRequest.
    """
    rows, before = _candidates(environment)
    bad = {} if again else failed_here(environment)
    skipped: list[Release] = []
    for release in rows[:LOOKED_AT]:
        if release.pk in bad:
            skipped.append(release)
            continue
        if skipped and release == selectors.live_release(environment):
            break
        return release
    if skipped:
        raise InvalidRequest(
            f"There is nothing else to deploy: {skipped[0]} ended badly on {environment} "
            f"(deployment {bad[skipped[0].pk].pk}).",
            hint="Build a better one, or try that one again (--again).",
            reason="failed_here",
        )
    if before is not None:
        raise InvalidRequest(
            f"No release has succeeded on {before}, which comes before {environment}.",
            hint=f"Deploy to {before} first, or name a release (--release).",
            reason="nothing_to_promote",
        )
    return selectors.newest_release(environment.application)


def passed_over(environment: Environment, chosen: Release) -> list[str]:
    """Why the releases that are newer than the one that `choose_release` chose were not it, a sentence each."""
    newer = Release.objects.filter(name=chosen.name, pk__gt=chosen.pk).order_by("-pk")[:NAMED]
    bad, before = failed_here(environment), environment_before(environment)
    said = []
    for release in newer:
        if release.quarantined:
            said.append(f"{release} is passed over: it is in quarantine ({release.quarantine_reason}).")
        elif release.pk in bad:
            said.append(f"{release} is passed over: it ended badly here (deployment {bad[release.pk].pk}).")
        elif before is not None:
            said.append(f"{release} is passed over: it is not among what succeeded on {before}.")
    return said


def promoted_release(source: Environment, target: Environment, *, again: bool = False) -> Release:
    """What is live on `source`, for `target`. Raises InvalidRequest, Conflict where it has no place there."""
    release = selectors.live_release(source)
    if release is None:
        raise InvalidRequest(
            f"Nothing is live on {source}.", hint=f"Deploy to {source} first.", reason="nothing_to_promote"
        )
    refuse_other_application(target, release.name)
    if not again and (failure := failed_here(target).get(release.pk)):
        raise InvalidRequest(
            f"{release} ended badly on {target} (deployment {failure.pk}).",
            hint="Promote a better one, or try it again (--again).",
            reason="failed_here",
        )
    return release


def failed_here(environment: Environment) -> dict[int, Deployment]:
    """The last attempt at each release in `environment` that ended badly, by the release's key."""
    rows = Deployment.objects.filter(environment=environment, kind=Kind.DEPLOYMENT, status__in=_TRIED)
    last: dict[int, Deployment] = {}
    for row in rows.defer("snapshot").order_by("-pk")[: LOOKED_AT * 4]:
        last.setdefault(row.release_id, row)
    return {release: row for release, row in last.items() if row.status in _BAD}


def environment_before(environment: Environment) -> Environment | None:
    """What comes before it in its application's order, where somebody has deployed already; else None."""
    rows = Environment.objects.filter(retired_at=None).exclude(pk=environment.pk)
    if environment.application:
        rows = rows.filter(application__in={environment.application, ""})
    earlier = rows.filter(Q(order__lt=environment.order) | Q(order=environment.order, name__lt=environment.name))
    before = earlier.order_by("order", "name").last()
    tried = before is not None and Deployment.objects.filter(environment=before, status__in=_TRIED).exists()
    return before if tried else None


def _candidates(environment: Environment) -> tuple[QuerySet[Release], Environment | None]:
    rows = Release.objects.filter(taken_by(environment), quarantined_at=None).exclude(artifact="")
    if environment.application:
        rows = rows.filter(name=environment.application)
    before = environment_before(environment)
    if before is not None:
        succeeded = Deployment.objects.filter(environment=before, status=Status.SUCCEEDED)
        rows = rows.filter(pk__in=succeeded.order_by().values("release"))
    return rows, before
