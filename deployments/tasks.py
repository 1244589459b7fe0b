"""What django-q2 runs: entry points that take ids and call one service."""

from django.conf import settings

from deployments.access import own_sessions
from deployments.audit import verification
from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.core.read_only import unless_read_only
from deployments.drills import drills
from deployments.environments import locks
from deployments.execution import reaper, remote_cancellation, rescue, run
from deployments.execution import watch as watching
from deployments.http import limits
from deployments.notifications import messages
from deployments.operations import carrying_out
from deployments.requests import approvals
from deployments.servers import inspection
from deployments.sources import building


def execute(deployment_id: int) -> str:
    """Carry a deployment out; a re-delivered task finds nothing to claim."""
    with rescue.turn(deployment_id, rescue.EXECUTION) as ours:
        return str(run.execute(deployment_id) or "not claimed") if ours else rescue.TURNED_AWAY


@unless_read_only
def cancel_remote(deployment_id: int) -> str:
    """End the remote work of a deployment."""
    with rescue.turn(deployment_id, rescue.CANCELLATION) as ours:
        return remote_cancellation.cancel_remote(deployment_id) if ours else rescue.TURNED_AWAY


@unless_read_only
def settle(deployment_id: int) -> str:
    """Ask the servers of a deployment whose worker died, or that was interrupted, how it ended."""
    with rescue.turn(deployment_id, rescue.SETTLING) as ours:
        return ("settled" if reaper.look_after(deployment_id) else "open") if ours else rescue.TURNED_AWAY


@unless_read_only
def operate(operation_id: int) -> str:
    """Carry an operation out; a re-delivered task finds nothing to claim."""
    return str(carrying_out.carry_out(number=operation_id).state)


@unless_read_only
def build_push(push_id: int) -> str:
    """Build what was pushed and ask for its deployment; a re-delivered task finds nothing to take."""
    return building.build_push(number=push_id)


@unless_read_only
def reap() -> list[int]:
    """Have what dead workers left settled, each by a task of its own; waits for no server."""
    carrying_out.settle_lost(actor=system_actor("reaper"))
    return reaper.call_for_settling()


@unless_read_only
def expire_requests() -> int:
    """End requests that nobody approved in time, and pushes whose worker died; write down which locks have ended."""
    building.end_lost()
    locks.end_passed_locks(actor=system_actor("schedule"))
    return approvals.expire_requests(actor=system_actor("schedule"))


@unless_read_only
def forget_sessions() -> int:
    """Delete the sessions that are over, since everybody can begin one, and counts of requests of minutes before."""
    limits.forget_old()
    return own_sessions.forget_ended()


@unless_read_only
def deliver_notifications() -> int:
    """Send the notifications that wait."""
    return messages.deliver_waiting()


@unless_read_only
def find_drift() -> int:
    """Compare every server with its record."""
    return inspection.inspect_all(actor=system_actor("schedule"))


@unless_read_only
def verify_trail() -> str:
    """Walk the audit trail once a day, and keep what came of it."""
    return "not whole" if verification.verify(actor=system_actor("schedule")) else "whole"


@unless_read_only
def inspect_environment(environment_id: int) -> int:
    """Compare the servers of one environment with their records."""
    return inspection.inspect_all(actor=system_actor("schedule"), only=environment_id)


@unless_read_only
def watch(deployment_id: int) -> str:
    """Ask the servers of a deployment that succeeded what became of their units."""
    return watching.watch(actor=system_actor("watch"), number=deployment_id)


@unless_read_only
def drill_rollback() -> str:
    """The rollback drill of every three weeks, unless PORTAL_DRILLS is off."""
    held = drills.hold_scheduled(actor=system_actor("schedule")) if settings.DRILLS else None
    return "not held" if held is None else "passed" if held.passed else "failed"


def beat() -> None:
    """Prove that this machine's cluster still takes tasks."""
    queueing.beat()
