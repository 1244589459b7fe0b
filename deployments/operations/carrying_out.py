"""Carrying an operation out: claimed once, watched on its server, and ended in one transaction."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from deployments.access.policy import still_may
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import queueing
from deployments.core.actors import Actor, system_actor
from deployments.core.masking import Mask
from deployments.core.processes import at_work, has_ended, lives, this_process
from deployments.core.retrying import retry
from deployments.core.sessions import open_session
from deployments.core.texts import one_line
from deployments.environments.guards import refuse_busy, refuse_retired
from deployments.environments.machines import neighbours, refuse_work_beside
from deployments.execution import silences
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, BootstrapKey, Deployment, Operation, Server
from deployments.operations.hearing import Heard, Say
from deployments.operations.one_off import refuse_untimely, service_for
from deployments.operations.provisioning import provision_as_asked
from deployments.operations.requesting import refuse_idle, units_of
from deployments.releases.role_plans import roles_on
from engine.errors import NotApproved, PortalError
from engine.remote import AgentClient

LONGEST = timedelta(minutes=6)
"""After so long nobody waits for the server any more, whatever became of the process that did."""
KEYS_KEPT = timedelta(hours=1)
"""After so long a person's key is deleted, whatever became of what it was for."""


@dataclass
class Ending:
    """How an operation ended, and what its server said meanwhile."""

    state: Operation.State
    outcome: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)
    output: str = ""


_LOST = Ending(
    Operation.State.LOST, "worker_lost", "The process that waited for the server has ended: `status` says what runs."
)
_NEVER_BEGUN = Ending(Operation.State.FAILED, "no_worker", "No worker took it in time, so nothing was done.")


def carry_out(*, number: int, say: Say = lambda _: None) -> Operation:
    """Do what was asked for, if nobody else does; `say` hears the server's lines, masked, as they come."""
    row = begin(number)
    if row is None:
        return Operation.objects.select_related("server__environment").get(pk=number)
    mask = Mask.for_environment(row.server.environment_id)
    heard = Heard(mask, say, partial(keep_output, row.pk))
    ending = Ending(Operation.State.LOST, "broken_off", "It was broken off: `status` says what runs.")
    try:
        _refuse_nobodys(row)
        _refuse_changed(row)
        if row.kind not in (Operation.Kind.RUN, Operation.Kind.PROVISION):
            silences.expect_restart(row.server)
        ending = DOERS[Operation.Kind(row.kind)](row, heard)
    except PortalError as error:
        ending = Ending(Operation.State.FAILED, error.reason, str(error))
    finally:
        ending.sentence = mask(one_line(ending.sentence))
        ending.facts, ending.output = mask.facts(ending.facts), heard.kept
        row = end(row, ending)
    return row


def keep_output(number: int, output: str) -> None:
    """What it has printed so far, for the page that follows it."""
    with suppress(DatabaseError):  # the end writes all of it
        Operation.objects.filter(pk=number, state=Operation.State.RUNNING).update(output=output)


def end(row: Operation, ending: Ending, *, actor: Actor | None = None) -> Operation:
    """Write how it ended, once: the row, its event (of the portal, or `actor`), and what is known of the server now."""
    return retry(lambda: _end(row, ending, actor=actor))


def settle_lost(*, actor: Actor) -> int:
    """End what nobody waits for any more; returns how many."""
    now = timezone.now()
    BootstrapKey.objects.filter(made_at__lt=now - KEYS_KEPT).delete()
    old = Operation.objects.filter(state__in=Operation.ACTIVE, requested_at__lt=now - LONGEST)
    rows = [row for row in old if now - row.requested_at > LONGEST + _at_work(row) and not _is_at_work(row)]
    for row in rows:
        settle(row, actor=actor)
    return len(rows)


def settle(row: Operation, *, actor: Actor) -> None:
    """End one that nobody carries out any more."""
    _end(row, _LOST if row.state == Operation.State.RUNNING else _NEVER_BEGUN, actor=actor)


def _is_at_work(row: Operation) -> bool:
    """A provisioning whose process lives: while it does, nothing begins beside it."""
    return row.kind == Operation.Kind.PROVISION and lives(row)


def _at_work(row: Operation) -> timedelta:
    """What it may take on top of what anything may; keys of a person's, and deployments, wait for no worker that long
    that does not work."""
    idle = row.state == Operation.State.QUEUED or has_ended(row.worker)
    waits = row.kind == Operation.Kind.PROVISION and idle
    return timedelta(seconds=0 if waits else row.request.get("seconds", 0))


def _refuse_nobodys(row: Operation) -> None:
    """Raise NotApproved unless the trail knows who asked for exactly this, and they may still ask for it."""
    name, about = f"service.{row.kind}_requested", f"server:{row.server.name}"
    events = AuditEvent.objects.filter(name=name, subject=about, actor=row.requested_by).order_by("-sequence")
    told = {"operation": row.pk, **row.request}
    known = any(told.items() <= event.data.items() for event in events[:20])
    verb = _VERBS.get(Operation.Kind(row.kind), Verb.OPERATE)
    if not known or not still_may(row.requested_by, verb, row.server.environment):
        raise NotApproved(
            f"Nobody stands behind it: {row.requested_by} has not asked for this, or may not any more.",
            hint="Somebody who may can ask for it again.",
            reason="nobody_behind_it",
        )


def _refuse_changed(row: Operation) -> None:
    """Raise what asking for it now would: policy, lock and what runs may have changed while it waited."""
    refuse_retired(row.server.environment)
    if row.kind == Operation.Kind.PROVISION:
        refuse_work_beside(row.server)
        refuse_busy(row.server.environment)  # it writes units and rules, and no lock of the server's keeps it from that
    else:
        refuse_idle(row.server)
    if row.kind == Operation.Kind.RUN:
        refuse_untimely(row.server.environment)
        service_for(row.server, row.request["unit"])


def begin(number: int) -> Operation | None:
    """Take a queued one for this process, once: its keys are deleted from the row; None when somebody else has it."""
    now = timezone.now()
    rows = Operation.objects.select_related("server__environment", "server__current_release", "bootstrap_key")
    with transaction.atomic():
        claimed = Operation.objects.filter(pk=number, state=Operation.State.QUEUED).update(
            state=Operation.State.RUNNING, started_at=now, heard_at=now, worker=this_process()
        )
        row = rows.get(pk=number) if claimed else None
        BootstrapKey.objects.filter(operation=number).delete()
    return row


def _end(row: Operation, ending: Ending, *, actor: Actor | None = None) -> Operation:
    with transaction.atomic():
        ended = Operation.objects.filter(pk=row.pk, state__in=Operation.ACTIVE).update(
            state=ending.state,
            outcome=ending.outcome[:60],
            sentence=ending.sentence,
            facts=ending.facts,
            output=ending.output,
            finished_at=timezone.now(),
        )
        BootstrapKey.objects.filter(operation=row).delete()
        row.refresh_from_db()
        if not ended:
            return row
        server = Server.objects.select_for_update().get(pk=row.server_id)
        _note(row, server)
        trail.record(
            actor=actor or system_actor("operations"),
            name=f"service.{row.kind}_{ending.state}",
            subject=f"server:{server.name}",
            environment=server.environment,
            data=_told(row),
        )
        if row.kind == Operation.Kind.PROVISION:
            _call_deployment(server)
        transaction.on_commit(lambda: _silence(row, server))
    return row


def _call_deployment(server: Server) -> None:
    """What waited for the end of a provisioning of its machine goes on."""
    homes = {server.environment_id, *(other.environment_id for other in neighbours([server])[0])}
    for waiting in Deployment.objects.filter(environment__in=homes, status=Status.QUEUED):
        queueing.enqueue_execution(waiting.pk, rescue=waiting.kind == Kind.ROLLBACK)


def _told(row: Operation) -> dict[str, Any]:
    told = {"operation": row.pk, "by": row.requested_by, "outcome": row.outcome, "sentence": row.sentence}
    if row.kind == Operation.Kind.RUN:
        told |= {"exit": row.facts.get("exit"), "seconds": row.seconds}
    return told


def _silence(row: Operation, server: Server) -> None:
    """A bot that somebody stopped is no alert; one that runs again is heard again."""
    if not server.bot_stopped:
        silences.speak_again(server)
    elif row.kind == Operation.Kind.STOP:
        silences.keep_quiet(server)


def _note(row: Operation, server: Server) -> None:
    """What is stopped now, and who stopped it last: after a failure as far as the server says."""
    stops = row.kind in (Operation.Kind.STOP, Operation.Kind.RESTORE)
    if row.state == Operation.State.SUCCEEDED:
        started, stopped = _named(row, "units"), set[str]()
        if row.kind == Operation.Kind.STOP:
            started, stopped = stopped, started
    else:
        started, stopped = _named(row, "running"), _named(row, "stopped") if stops else set()
    if not started | stopped:
        return
    noted, units = dict(server.stopped or {}), sorted({*server.stopped_units} - started | stopped)
    if stopped:
        noted = {"by": row.requested_by, "at": timezone.now().isoformat(), "reason": row.reason}
    bot = bool(units) and not set(units).isdisjoint(units_of(server, ["bot"]))
    server.stopped = {**noted, "units": units, "bot": bot} if units else None
    server.save(update_fields=["stopped"])


def _named(row: Operation, fact: str) -> set[str]:
    """The units of a fact, which a server says."""
    said = row.facts.get(fact)
    return {unit for unit in said if isinstance(unit, str)} if isinstance(said, list) else set()


def _units(row: Operation, hear: Say) -> Ending:
    server, release = row.server, row.server.current_release
    assert release is not None  # noqa: S101  (requesting.refuse_idle)
    with open_session(server) as session:
        result = AgentClient(session, release.name).operate(
            row.kind,
            release.identifier,
            release.version,
            roles_on(server, release),
            units=row.request.get("units", ()),
            **({"backup": row.request["backup"], "mark": f"restore-{row.pk}"} if "backup" in row.request else {}),
            on_record=lambda record: hear(str(record.get("text", ""))),
        )
    state = Operation.State.SUCCEEDED if result.status == "succeeded" else Operation.State.FAILED
    return Ending(state, result.reason, result.sentence, result.facts)


def _command(row: Operation, hear: Say) -> Ending:
    server, release = row.server, row.server.current_release
    assert release is not None  # noqa: S101  (requesting.refuse_idle)
    with open_session(server) as session:
        result = AgentClient(session, release.name).command(
            release.identifier,
            roles_on(server, release),
            row.request["command"],
            seconds=row.request["seconds"],
            unit=row.request["unit"],
            on_record=lambda record: hear(str(record.get("text", ""))),
        )
    state = Operation.State.SUCCEEDED if result.status == "succeeded" else Operation.State.FAILED
    return Ending(state, result.reason, result.sentence, result.facts)


def _provisioning(row: Operation, hear: Say) -> Ending:
    with at_work(row) as refuse_ended:

        def tell(line: str) -> None:
            refuse_ended()
            hear(line)

        sentence, facts = provision_as_asked(row, tell)
    return Ending(Operation.State.SUCCEEDED, "provisioned", sentence, facts)


_VERBS = {
    Operation.Kind.RESTORE: Verb.RESTORE_DATA,
    Operation.Kind.RUN: Verb.RUN,
    Operation.Kind.PROVISION: Verb.PROVISION,
}
DOERS: dict[Operation.Kind, Callable[[Operation, Say], Ending]] = {
    Operation.Kind.RESTART: _units,
    Operation.Kind.STOP: _units,
    Operation.Kind.START: _units,
    Operation.Kind.RESTORE: _units,
    Operation.Kind.RUN: _command,
    Operation.Kind.PROVISION: _provisioning,
}
