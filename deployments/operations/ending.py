"""Ending a provisioning by hand whose process is gone: what waits for it, a rollback too, goes on."""

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor, in_words
from deployments.core.processes import lives
from deployments.models import Operation, Server
from deployments.operations.carrying_out import Ending
from deployments.operations.carrying_out import end as write_end
from engine.errors import Conflict


def under_way(server: Server) -> Operation | None:
    """The provisioning of a server that a process has taken."""
    running = server.operations.filter(kind=Operation.Kind.PROVISION, state=Operation.State.RUNNING)
    return running.select_related("server__environment").first()


def end_provisioning(*, actor: Actor, server: Server) -> Operation:
    """Write that it is over. What is done on the server it does not undo: provision again.

    Raises NotAllowed, and Conflict where none is under way or its process is known to live.
    """
    require(actor, Verb.CANCEL, server.environment)
    row = under_way(server)
    if row is None:
        raise Conflict(
            f"No provisioning of {server} is under way.", hint="Nothing to end.", reason="not_provisioned_now"
        )
    if lives(row):
        raise Conflict(
            f"The process of {row} lives: {row.worker}.", hint="Wait for it, or end it there.", reason="process_lives"
        )
    process = f"its process ({row.worker or 'not known'}) was not heard any more"
    sentence = f"{in_words(str(actor))} ended it: {process}. Provision again."
    return write_end(row, Ending(Operation.State.LOST, "ended_by_hand", sentence), actor=actor)
