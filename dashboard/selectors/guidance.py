"""What a person should do about a deployment, in a sentence, by how it ended."""

from datetime import datetime

from deployments.core.actors import identity_in
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment

_ADVICE: dict[Status, str] = {
    Status.QUEUED: "A worker takes it within a second. Should it stay here, look at the workers (cytube-worker).",
    Status.FAILED: "Fix what the sentence names and request it again.",
    Status.ROLLED_BACK: "Read the log of the failed step, fix the release, and request the new one.",
    Status.INTERRUPTED: "Look at the server that is named, then request a deployment or a rollback: both check the "
    "server before they change anything.",
    Status.REJECTED: "Answer the reason and request it again.",
    Status.EXPIRED: "Request it again when an approver is there.",
    Status.SUPERSEDED: "A newer request took its place.",
    Status.CANCELLED: "Nothing is running any more. Request it again when you want it.",
}


def guidance(deployment: Deployment, given: int = 0) -> str:
    """What to do next, by how many have approved already; empty when there is nothing to do."""
    if deployment.status != Status.AWAITING_APPROVAL:
        return _ADVICE.get(Status(deployment.status), "")
    left = max(1, (deployment.sealed.policy.approvals_required or 0) - given)
    ends = f"; expires {deployment.expires_at:%-d %b %H:%M} UTC" if deployment.expires_at else ""
    return (
        f"Needs {left} approval{'s' * (left > 1)} by someone other than {identity_in(deployment.requested_by)}{ends}."
    )


def said(deployment: Deployment) -> str:
    """The sentence of how it ended, with what the watch has seen since in place of what it had seen by then."""
    text = deployment.sentence
    for target in deployment.targets.all():
        proof = target.facts.get("proof") or {}
        if by_then := str(proof.get("watched", "")).rstrip("."):
            text = text.replace(by_then, target.looked_at)
    return text


def still_watched(deployment: Deployment, now: datetime) -> float:
    """For how many seconds trouble still counts against a success that runs; 0 where it does not."""
    if deployment.status != Status.SUCCEEDED or deployment.kind != Kind.DEPLOYMENT or deployment.bake_until is None:
        return 0
    return max(0.0, (deployment.bake_until - now).total_seconds())


def what_trouble_does(deployment: Deployment) -> str:
    """What becomes of an environment in which a deployment fails while it is still watched."""
    action = deployment.sealed.policy.bake_action or deployment.environment.bake_action
    if action == Environment.BakeAction.PAUSE:
        return f"{deployment.environment} is locked"
    return f"{deployment.environment} goes back by itself"


def partly_back(deployment: Deployment) -> bool:
    """Whether its sentence says that a rollback took it back on some of its servers only."""
    return "; not on " in deployment.sentence and "has taken it back" in deployment.sentence


def tone(deployment: Deployment) -> str:
    """good, bad, or empty for neither."""
    if deployment.status == Status.SUCCEEDED:
        return "good"
    return "bad" if deployment.status in {Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED} else ""


def mood(deployment: Deployment) -> str:
    """What the icon in the tab tells: running, alarmed, wary or calm."""
    if deployment.active:
        return "running"
    if tone(deployment) == "bad":
        return "alarmed"
    return "wary" if deployment.status == Status.AWAITING_APPROVAL else "calm"
