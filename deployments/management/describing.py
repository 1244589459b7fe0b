"""A deployment as the JSON document of the command line."""

from typing import Any

from django.db.models import Prefetch, QuerySet

from deployments.core.selectors import was_taken_back
from deployments.models import Approval, Deployment, Target


def described(rows: QuerySet[Deployment]) -> QuerySet[Deployment]:
    """Rows with everything that `describe` reads, in a fixed number of queries."""
    targets = Target.objects.select_related("server", "base_release").prefetch_related("steps")
    return rows.prefetch_related("approvals", Prefetch("targets", queryset=targets))


def describe(deployment: Deployment) -> dict[str, Any]:
    """Everything a program needs to know; `exit_code` is None while the deployment goes on."""
    approvals = [each for each in deployment.approvals.all() if each.decision == Approval.Decision.APPROVED]
    return {
        "deployment": deployment.pk,
        "environment": str(deployment.environment),
        "release": deployment.release.identifier,
        "kind": deployment.kind,
        "status": deployment.status,
        "taken_back": was_taken_back(deployment),
        "outcome": deployment.outcome,
        "sentence": deployment.sentence,
        "requested_by": deployment.requested_by,
        "approved_by": [approval.actor for approval in approvals],
        "reason": deployment.reason,
        "seal": deployment.seal,
        "seconds": deployment.seconds,
        "requested_at": deployment.requested_at,
        "finished_at": deployment.finished_at,
        "exit_code": None if deployment.active else deployment.exit_code,
        "targets": [
            {
                "server": target.server.name,
                "from": target.base_release.identifier if target.base_release else None,
                "status": target.status,
                "outcome": target.outcome,
                "sentence": target.sentence,
                "steps": {step.name: step.seconds for step in target.steps.all()},
            }
            for target in deployment.targets.all()
        ],
    }
