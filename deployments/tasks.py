"""What django-q2 runs: entry points that take ids and call one service."""

from django.conf import settings

from deployments import notifications, queueing
from deployments.services import approvals, cancellation, drills, execution, inspection, recovery
from deployments.services.access import system_actor
from deployments.services.standing import while_in_charge


def execute(deployment_id: int) -> str:
    """Carry a deployment out; a re-delivered task finds nothing to claim."""
    return str(execution.execute(deployment_id) or "not claimed")


@while_in_charge
def cancel_remote(deployment_id: int) -> str:
    """End the remote work of a deployment."""
    return cancellation.cancel_remote(deployment_id)


@while_in_charge
def reap() -> list[int]:
    """Settle what dead workers left."""
    return recovery.reap()


@while_in_charge
def expire_requests() -> int:
    """End requests that nobody approved in time."""
    return approvals.expire_requests(actor=system_actor("schedule"))


@while_in_charge
def deliver_notifications() -> int:
    """Send the notifications that wait."""
    return notifications.deliver_waiting()


@while_in_charge
def find_drift() -> int:
    """Compare every server with its record."""
    return inspection.inspect_all(actor=system_actor("schedule"))


@while_in_charge
def inspect_environment(environment_id: int) -> int:
    """Compare the servers of one environment with their records."""
    return inspection.inspect_all(actor=system_actor("schedule"), only=environment_id)


@while_in_charge
def drill_rollback() -> str:
    """The rollback drill of every three weeks, unless PORTAL_DRILLS is off."""
    held = drills.hold_scheduled(actor=system_actor("schedule")) if settings.DRILLS else None
    return "not held" if held is None else "passed" if held.passed else "failed"


def beat() -> None:
    """Prove that a worker of this cluster still takes tasks; the result row is what the watchdog looks at."""
    queueing.forget_old_beats()
