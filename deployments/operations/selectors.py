"""Look-ups that answer in a sentence when there is nothing, and what can be done about a service now."""

from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.models import Operation, Server
from engine.errors import NotFound


def operation_numbered(number: int) -> Operation:
    """The operation, or NotFound."""
    found = Operation.objects.select_related("server__environment").filter(pk=number).first()
    if found is None:
        raise NotFound(f"There is no operation {number}.", reason="unknown_operation")
    return found


def offered(*, actor: Actor, server: Server) -> list[Operation.Kind]:
    """What this person may do there now: nothing where nothing runs, and no start where nothing was stopped."""
    if server.current_release_id is None or server.state != Server.State.PROVISIONED:
        return []
    if not may(actor, Verb.OPERATE, server.environment):
        return []
    kinds = [Operation.Kind.START] if server.stopped else []
    return [*kinds, Operation.Kind.RESTART, *([] if server.bot_stopped else [Operation.Kind.STOP])]


def reads_journal(*, actor: Actor, server: Server) -> bool:
    """Whether there is a journal there that this person may read."""
    return server.current_release_id is not None and may(actor, Verb.READ_JOURNAL, server.environment)


def may_read_output(actor: Actor, row: Operation) -> bool:
    """Whether this actor may read what it printed: a command prints what nobody chose, as a service does."""
    verbs = (Verb.READ_JOURNAL, Verb.RUN) if row.kind == Operation.Kind.RUN else (Verb.VIEW,)
    return any(may(actor, verb, row.server.environment) for verb in verbs)
