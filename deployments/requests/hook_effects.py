"""What a rollback leaves as it is: what the hooks of the releases that it goes back over have done."""

from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.rollback_targets import LOOKED_AT
from deployments.snapshot import SealedHook

_CHANGING = ("before_activate", "after_activate")


def left_behind(environment: Environment, release: Release) -> list[str]:
    """A sentence for every hook that ran with a later success than the last one of `release`; empty when none did."""
    successes = Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED, kind=Kind.DEPLOYMENT)
    last = successes.filter(release=release).order_by("-finished_at", "-id").first()
    if last is None:
        return []
    later = successes.filter(finished_at__gte=last.finished_at).exclude(pk=last.pk).exclude(release=release)
    rows = later.select_related("release").order_by("-finished_at", "-id")[:LOOKED_AT]
    told = {
        f"{row.release} had `{hook.shown}` run ({hook.moment}).": None
        for row in rows
        for hook in row.sealed.plan.hooks
        if hook.moment in _CHANGING
    }
    if not told:
        return []
    return [*told, f"A rollback runs no hook, and no way back: {release} meets the data as they are now."]


def no_way_back(hooks: tuple[SealedHook, ...]) -> str:
    """For an approver: what of a release stays although it is taken back; empty when nothing does."""
    left = [hook.moment for hook in hooks if hook.moment in _CHANGING and not hook.back]
    if not left:
        return ""
    names, verb = " and ".join(left), "names" if len(left) == 1 else "name"
    return f"What its hooks do cannot be taken back: {names} {verb} no way back."
