"""Why a release's artifact is kept. Whatever has no reason may go: its record, seals and events stay for ever."""

from collections import Counter
from collections.abc import Iterator

from django.conf import settings
from django.db.models import QuerySet

from deployments.lifecycle import FINAL, Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.all_rollback_targets import all_rollback_targets

WAYS_BACK = 5
"""Releases that each environment can go back to, the one that ran last first."""


def reasons() -> dict[int, list[str]]:
    """For each release whose artifact is needed, by its key: why, as parts of a sentence.

    A fixed number of queries, whatever there is of servers, environments and applications.
    """
    found: dict[int, list[str]] = {}
    for key, why in _all():
        known = found.setdefault(key, [])
        if why not in known:
            known.append(why)
    return found


def unneeded() -> QuerySet[Release]:
    """Releases with an artifact here that nothing needs, oldest first."""
    stored = Release.objects.exclude(artifact="").exclude(artifact_digest="")
    return stored.exclude(pk__in=reasons()).order_by("built_at", "pk")


def _all() -> Iterator[tuple[int, str]]:
    servers = Server.objects.exclude(state=Server.State.RETIRED)
    for name, current, previous in servers.values_list("name", "current_release_id", "previous_release_id"):
        if current:
            yield current, f"runs on {name}"
        if previous:
            yield previous, f"ran before on {name}"
    for row in Deployment.objects.exclude(status__in=FINAL - {Status.INTERRUPTED}).only("pk", "release_id"):
        yield row.release_id, f"deployment {row.pk} is not settled"
    environments = list(Environment.objects.filter(retired_at=None))
    found = all_rollback_targets(environments, WAYS_BACK)
    for environment in environments:
        for key in found[environment.pk]:
            yield key, f"{environment} can go back to it"
    built = Release.objects.exclude(artifact_digest="").order_by("-built_at", "-pk")
    counted: Counter[str] = Counter()
    for key, name in built.values_list("pk", "name"):
        counted[name] += 1
        if counted[name] <= settings.KEEP_RELEASES:
            yield key, f"one of the {settings.KEEP_RELEASES} newest of {name}"
