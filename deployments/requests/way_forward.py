"""What comes after a rollback: what is deployed next, and how the release that was left leaves quarantine."""

from deployments.core import selectors
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.choices import choose_release
from engine.errors import PortalError


def way_forward(rollback: Deployment) -> list[str]:
    """Sentences for whoever went back, while that is what runs; empty where nothing went into quarantine."""
    left, environment = rollback.rollback_of, rollback.environment
    if left is None or rollback.kind != Kind.ROLLBACK or rollback.status != Status.SUCCEEDED or rollback.drill:
        return []
    bad = Release.objects.get(pk=left.release_id)
    if not bad.quarantined or selectors.live_release(environment) != rollback.release:
        return []
    return [
        f"{bad} is in quarantine: nobody goes back to it, and `deploy` passes it over.",
        f"Next: {_next(environment, rollback.release)}.",
        f'Is it good after all, `manage.py deploy {environment} --release {bad} --reason "…"` takes it again, with the '
        "approvals that it needs; its success where it was taken back ends the quarantine.",
    ]


def _next(environment: Environment, live: Release) -> str:
    """What plain `deploy` takes now, where that is another one than runs."""
    try:
        release = choose_release(environment)
    except PortalError:
        release = live
    if release != live and release.pk > live.pk:
        return f"`manage.py deploy {environment}` takes {release}"
    return f"mend it, and build a release (`manage.py build_release`); then `manage.py deploy {environment}` takes that"
