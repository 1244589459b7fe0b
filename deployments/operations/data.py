"""What an application has written: the backups that lie on its server, proven, and brought back."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.masking import Mask
from deployments.core.sessions import open_session
from deployments.core.texts import checked, one_line
from deployments.http.server_slots import server_slot
from deployments.models import Operation, Server
from deployments.operations.requesting import ask, refuse_idle
from deployments.releases.role_plans import roles_on
from engine.errors import InvalidRequest, TargetError
from engine.remote import AgentClient, Result


@dataclass(frozen=True)
class Backup:
    """One backup: before which deployment it was made, what it holds, and whether that is what was written."""

    name: str
    made_at: datetime
    before: str
    databases: list[str]
    size: int
    whole: bool


def backups_on(*, actor: Actor, server: Server) -> list[Backup]:
    """The newest first. Raises NotAllowed, Conflict where nothing runs, TargetError."""
    require(actor, Verb.VERIFY, server.environment)
    rows = _ask(server).facts.get("backups", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TargetError("The server does not list its backups as an agent does.", hint="Run provision for it.")
    return [_backup(row) for row in rows[:1000]]


def rehearse_restore(*, actor: Actor, server: Server, backup: str) -> str:
    """Have a backup restored into a scratch directory there; the sentence. Raises TargetError when it is not whole."""
    require(actor, Verb.VERIFY, server.environment)
    result = _ask(server, check=checked(backup, what="A backup"))
    sentence = Mask.for_environment(server.environment_id)(one_line(result.sentence))
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="service.restore_rehearsed",
            subject=f"server:{server.name}",
            environment=server.environment,
            data={"backup": backup, "outcome": result.reason, "sentence": sentence},
        )
    if result.status != "succeeded":
        raise TargetError(sentence, hint="Take another one.")
    return sentence


def restore_data(*, actor: Actor, server: Server, backup: str, reason: str, queued: bool = True) -> Operation:
    """Ask for a backup in the place of what is there: stop, keep what is there, restore, start, verify.

    Raises NotAllowed, InvalidRequest without a reason, EnvironmentBusy, Conflict.
    """
    require(actor, Verb.RESTORE_DATA, server.environment)
    reason, backup = checked(reason), checked(backup, what="A backup", limit=80)
    if not reason:
        raise InvalidRequest("Restoring data needs a reason.", hint="Say why.", reason="no_reason")
    request = {"units": [], "backup": backup}
    kind = Operation.Kind.RESTORE
    return ask(actor=actor, server=server, kind=kind, request=request, reason=reason, queued=queued)


def _ask(server: Server, check: str = "") -> Result:
    refuse_idle(server)
    release = server.current_release
    assert release is not None  # noqa: S101  (refuse_idle)
    with server_slot(), open_session(server) as session:
        return AgentClient(session, release.name).data(roles_on(server, release), check=check)


def _backup(row: dict[str, object]) -> Backup:
    name, held = one_line(str(row.get("name", "")))[:80], row.get("databases")
    databases = [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []
    stamp, _, before = name.partition("-")
    try:
        made_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise TargetError("The server names a backup as none is named.") from None
    sizes = [one.get("bytes") or 0 for one in databases]
    whole = [size for size in sizes if isinstance(size, int) and 0 <= size < 1 << 63]
    if whole != sizes:
        raise TargetError(f"The server names a size in {name} that is none.")
    return Backup(
        name,
        made_at,
        before,
        [one_line(str(one.get("database")))[:200] for one in databases],
        sum(whole),
        bool(databases) and all(one.get("whole") is True for one in databases),
    )
