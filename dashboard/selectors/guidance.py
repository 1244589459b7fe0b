"""What a person should do about a deployment, in a sentence, by how it ended."""

from deployments.lifecycle import Status
from deployments.models import Deployment

_ADVICE: dict[Status, str] = {
    Status.AWAITING_APPROVAL: "An approver who did not ask for it decides here. It expires by itself.",
    Status.QUEUED: "A worker takes it within a second. Should it stay here, look at the workers (cytube-worker).",
    Status.FAILED: "Fix what the sentence names and request it again.",
    Status.ROLLED_BACK: "Read the log of the failed step, fix the release, and request the new one.",
    Status.INTERRUPTED: "Look at the server that is named, then request a deployment or a rollback: both check the "
    "server before they change anything.",
    Status.REJECTED: "Answer the reason and request it again.",
    Status.EXPIRED: "Request it again when an approver is there.",
    Status.SUPERSEDED: "Follow the newer request, or ask again.",
    Status.CANCELLED: "Nothing is running any more. Request it again when you want it.",
}


def guidance(deployment: Deployment) -> str:
    """What to do next; empty when there is nothing to do."""
    return _ADVICE.get(Status(deployment.status), "")


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
