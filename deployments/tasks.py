"""What django-q2 runs: entry points that take ids and call one service."""

from deployments import notifications
from deployments.services import approvals, cancellation, execution, recovery
from deployments.services.access import system_actor


def execute(deployment_id: int) -> str:
    """Carry a deployment out; a re-delivered task finds nothing to claim."""
    return str(execution.execute(deployment_id) or "not claimed")


def cancel_remote(deployment_id: int) -> str:
    """End the remote work of a deployment."""
    return cancellation.cancel_remote(deployment_id)


def reap() -> list[int]:
    """Settle what dead workers left."""
    return recovery.reap()


def expire_requests() -> int:
    """End requests that nobody approved in time."""
    return approvals.expire_requests(actor=system_actor("schedule"))


def deliver_notifications() -> int:
    """Send the notifications that wait."""
    return notifications.deliver_waiting()
