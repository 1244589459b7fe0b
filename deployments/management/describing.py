"""A deployment as the JSON document of the command line."""

from typing import Any

from deployments.models import Approval, Deployment


def describe(deployment: Deployment) -> dict[str, Any]:
    """Everything a program needs to know; `exit_code` is None while the deployment goes on."""
    approvals = deployment.approvals.filter(decision=Approval.Decision.APPROVED)
    targets = deployment.targets.select_related("server", "base_release").prefetch_related("steps")
    return {
        "deployment": deployment.pk,
        "environment": deployment.environment.name,
        "release": deployment.release.identifier,
        "kind": deployment.kind,
        "status": deployment.status,
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
            for target in targets
        ],
    }
