"""Why a release's artifact is kept. Whatever has no reason may go: its record, seals and events stay for ever."""

from collections.abc import Iterator
from itertools import islice

from django.conf import settings
from django.db.models import QuerySet

from deployments.lifecycle import FINAL, Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.rollback_targets import releases_to_go_back_to

WAYS_BACK = 5
"""Releases that each environment can go back to, the one that ran last first."""


def reasons() -> dict[int, list[str]]:
    """For each release whose artifact is needed, by its key: why, as parts of a sentence."""
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
    for server in Server.objects.exclude(state=Server.State.RETIRED):
        if server.current_release_id:
            yield server.current_release_id, f"runs on {server}"
        if server.previous_release_id:
            yield server.previous_release_id, f"ran before on {server}"
    for row in Deployment.objects.exclude(status__in=FINAL - {Status.INTERRUPTED}).only("pk", "release_id"):
        yield row.release_id, f"deployment {row.pk} is not settled"
    for environment in Environment.objects.filter(retired_at=None):
        for release in islice(releases_to_go_back_to(environment), WAYS_BACK):
            yield release.pk, f"{environment} can go back to it"
    for name in Release.objects.order_by().values_list("name", flat=True).distinct():
        built = Release.objects.filter(name=name).exclude(artifact_digest="").order_by("-built_at", "-pk")
        for key in built.values_list("pk", flat=True)[: settings.KEEP_RELEASES]:
            yield key, f"one of the {settings.KEEP_RELEASES} newest of {name}"
