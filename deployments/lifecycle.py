"""Statuses of a deployment and the transitions between them, as data.

`querysets.DeploymentQuerySet.move` applies them by compare-and-set; nothing else writes a status.
"""

from django.db.models import TextChoices


class Status(TextChoices):
    """Where a deployment stands; docs/operations.md explains each to an operator."""

    AWAITING_APPROVAL = "awaiting_approval", "Awaiting approval"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    VERIFYING = "verifying", "Verifying"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    ROLLED_BACK = "rolled_back", "Rolled back"
    INTERRUPTED = "interrupted", "Interrupted"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    SUPERSEDED = "superseded", "Superseded"
    CANCELLED = "cancelled", "Cancelled"


ACTIVE = frozenset({Status.QUEUED, Status.RUNNING, Status.VERIFYING})
EXECUTING = frozenset({Status.RUNNING, Status.VERIFYING})
WAITING = frozenset({Status.AWAITING_APPROVAL})
FINAL = frozenset(Status) - ACTIVE - WAITING

_OUTCOMES = frozenset({Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK, Status.INTERRUPTED, Status.CANCELLED})
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.AWAITING_APPROVAL: frozenset(
        {Status.QUEUED, Status.REJECTED, Status.EXPIRED, Status.SUPERSEDED, Status.CANCELLED}
    ),
    # superseded: a sealed input changed between approval and claim
    Status.QUEUED: frozenset({Status.RUNNING, Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.SUPERSEDED}),
    Status.RUNNING: frozenset({Status.VERIFYING}) | (_OUTCOMES),
    Status.VERIFYING: _OUTCOMES,
    **{status: frozenset() for status in FINAL},
    # only to complete the record, once a server that could not be asked has told how it ended
    Status.INTERRUPTED: _OUTCOMES - {Status.INTERRUPTED},
}


def sources_of(target: Status) -> frozenset[Status]:
    """Every status from which `target` may be reached."""
    return frozenset(source for source, targets in TRANSITIONS.items() if target in targets)


class Kind(TextChoices):
    """What a deployment is for."""

    DEPLOYMENT = "deployment", "Deployment"
    ROLLBACK = "rollback", "Rollback"


class TargetStatus(TextChoices):
    """What became of one server in a deployment."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    REVERTED = "reverted", "Reverted"
    INTERRUPTED = "interrupted", "Interrupted"
    CANCELLED = "cancelled", "Cancelled"
    SKIPPED = "skipped", "Skipped"


class StepState(TextChoices):
    """One recorded action on one server."""

    RUNNING = "running", "Running"
    OK = "ok", "OK"
    FAILED = "failed", "Failed"
    REVERTED = "reverted", "Reverted"


EXIT_CODES: dict[Status, int] = {
    Status.SUCCEEDED: 0,
    Status.FAILED: 1,
    Status.AWAITING_APPROVAL: 3,
    Status.REJECTED: 4,
    Status.EXPIRED: 4,
    Status.SUPERSEDED: 4,
    Status.ROLLED_BACK: 5,
    Status.CANCELLED: 6,
    Status.INTERRUPTED: 7,
}
