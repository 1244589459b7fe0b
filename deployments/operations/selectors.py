"""Look-ups that answer in a sentence when there is nothing, and what can be done about a service now."""

from collections.abc import Callable

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


Runs = Callable[[Server], bool | None]
_listeners: list[Runs] = []


def ask_too(runs: Runs) -> None:
    """Have `runs` say whether a server's service runs: whoever hears services knows it, this room does not."""
    _listeners[:] = [runs]


def _runs(server: Server) -> bool | None:
    """Whether its service runs; None where nobody knows. Its own last word stands above what was done from here."""
    heard = next((said for runs in _listeners if (said := runs(server)) is not None), None)
    return False if heard is None and server.bot_stopped else heard


def fitting(server: Server, asked: bool | None = None) -> list[Operation.Kind]:
    """What fits the state of a server's service, the most likely first: a start where it does not run, a stop where it
    does, and everything where that is not known. Nothing where nothing was deployed.

    `asked` is what the server itself has said just now.
    """
    if server.current_release_id is None or server.state != Server.State.PROVISIONED:
        return []
    runs = _runs(server) if asked is None else asked
    start = [] if runs and not server.stopped else [Operation.Kind.START]
    return [*start, Operation.Kind.RESTART, *([] if runs is False else [Operation.Kind.STOP])]


def offered(*, actor: Actor, server: Server) -> list[Operation.Kind]:
    """What of that this person may do."""
    return fitting(server) if may(actor, Verb.OPERATE, server.environment) else []


def reads_journal(*, actor: Actor, server: Server) -> bool:
    """Whether there is a journal there that this person may read."""
    return server.current_release_id is not None and may(actor, Verb.READ_JOURNAL, server.environment)


def may_read_output(actor: Actor, row: Operation) -> bool:
    """Whether this actor may read what it printed: a command prints what nobody chose, as a service does."""
    verbs = (Verb.READ_JOURNAL, Verb.RUN) if row.kind == Operation.Kind.RUN else (Verb.VIEW,)
    return any(may(actor, verb, row.server.environment) for verb in verbs)
