"""Restarting, stopping and starting services, running commands, reading journals, restoring data."""

import time
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from ninja import Path, Query, Router, Schema
from ninja import Status as HttpStatus
from pydantic import Field

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.api.deployments import Waiting
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.moments import moment
from deployments.http.auth import BearerToken, actor_of, reader
from deployments.http.documents import Document
from deployments.http.limits import READS, WRITES
from deployments.http.paging import Name, Number, Text
from deployments.http.problems import answers
from deployments.models import Operation
from deployments.operations import journal, one_off
from deployments.operations.data import backups_on, restore_data
from deployments.operations.journal import MOST_LINES, Level, LogQuery
from deployments.operations.requesting import operate, refuse_idle
from deployments.operations.selectors import may_read_output, operation_numbered
from deployments.operations.status import status_of

router = Router(tags=["Operations"], auth=BearerToken())
_POLL_SECONDS = 0.25


class OperationIn(Schema):
    """What is asked for."""

    units: list[Name] = Field([], max_length=50, description="Only these units.", examples=[["my-bot.service"]])
    reason: Text = Field("", description="Stopping needs one.", examples=["The channel asked for quiet"])


class OperationOut(Document):
    """An operation on a server."""

    number: int = Field(examples=[7])
    server: str = Field(examples=["prod-1"])
    environment: str = Field(examples=["production"])
    kind: str = Field(examples=["restart"])
    state: str = Field(examples=["succeeded"])
    ended: bool = Field(description="Whether the state can no longer change.")
    outcome: str = Field(description="A stable word for how it ended.", examples=["restarted"])
    sentence: str
    output: str = Field(
        description="What it printed, masked and cut; of a command only for those who may run one or read the journal."
    )
    exit_code: int | None = Field(description="What the command line would exit with; null while it is active.")
    requested_by: str
    reason: str
    requested_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: Operation, actor: Actor) -> "OperationOut":
        """The document of a record, as this actor may read it."""
        return cls(
            number=row.pk,
            server=row.server.name,
            environment=str(row.server.environment),
            kind=row.kind,
            state=row.state,
            ended=row.ended,
            outcome=row.outcome,
            sentence=row.sentence,
            output=row.output if may_read_output(actor, row) else "",
            exit_code=row.exit_code if row.ended else None,
            requested_by=row.requested_by,
            reason=row.reason,
            requested_at=row.requested_at,
            finished_at=row.finished_at,
        )


def _route(kind: Operation.Kind, meaning: str) -> None:
    """One of the three that differ in what is done alone."""

    @router.post(
        f"/servers/{{name}}/{kind}",
        response=answers({202: OperationOut}, 404, 409, 413),
        throttle=WRITES,
        operation_id=f"{kind}_server",
        summary=f"{kind.capitalize()} the services of a server",
        description=meaning,
    )
    def ask(request: HttpRequest, name: Path[Name], wanted: OperationIn) -> HttpStatus[OperationOut]:
        actor = actor_of(request)
        server = selectors.server_named(name)
        row = operate(actor=actor, server=server, kind=kind, units=wanted.units, reason=wanted.reason)
        return HttpStatus(202, OperationOut.of(row, actor))


_route(Operation.Kind.RESTART, "A worker does it and watches them; ask the operation until it has ended.")
_route(Operation.Kind.STOP, "Until somebody starts them, deploys, or the server boots; their alerts are silenced.")
_route(Operation.Kind.START, "Those that do not run; the others are left alone.")


@router.get(
    "/operations/{number}", response=answers({200: OperationOut}, 404), throttle=READS, summary="Read an operation"
)
def read_operation(request: HttpRequest, number: Path[Number], waiting: Query[Waiting]) -> OperationOut:
    """With `wait` the answer comes when it has ended, or after so many seconds."""
    actor = reader(request)
    row = operation_numbered(number)
    require(actor, Verb.VIEW, row.server.environment)
    with waiting.turn() as mine:
        ends = time.monotonic() + (waiting.wait if mine else 0.0)
        while not row.ended and (left := ends - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, left))
            row.refresh_from_db()
    return OperationOut.of(row, actor)


class UnitOut(Document):
    """A unit as systemd shows it."""

    unit: str = Field(examples=["my-bot.service"])
    active: str = Field(examples=["active"])
    detail: str = Field(examples=["running"])
    restarts: int = Field(description="By systemd itself, since it was started.", examples=[0])
    problem: str = Field(description="What is wrong with it; empty when nothing is.")


class StandingOut(Document):
    """How the services of a server stand."""

    server: str = Field(examples=["prod-1"])
    well: bool | None = Field(description="Null: the server could not be asked.")
    sentence: str
    release: str
    units: list[UnitOut]
    health: dict[str, str] = Field(description="What each role answers.", examples=[{"bot": "HTTP 200, connected"}])


@router.get(
    "/servers/{name}/status",
    response=answers({200: StandingOut}, 404, 409, 502),
    throttle=READS,
    summary="Ask how a server's services stand",
)
def read_server_status(request: HttpRequest, name: Path[Name]) -> StandingOut:
    """Asked there now."""
    server = selectors.server_named(name)
    refuse_idle(server)
    [found] = status_of(actor=actor_of(request), environment=server.environment, server=server)
    return StandingOut(**asdict(found))


class JournalQuery(Schema):
    """Which lines."""

    lines: int = Field(200, ge=1, le=MOST_LINES, description="The newest so many that fit.", examples=[200])
    since: str = Field("", max_length=40, description="30m, 2h, 3d ago, or a date and time (UTC).", examples=["2h"])
    grep: str = Field("", max_length=200, description="Only lines with this text, in any case.", examples=["room"])
    level: Level = Field(Level.DEBUG, description="Of this level, or graver.", examples=["warning"])
    unit: list[Name] = Field([], max_length=50, description="Only these units.", examples=[["my-bot.service"]])


class JournalLineOut(Document):
    """One line of the journal."""

    at: datetime
    unit: str = Field(examples=["my-bot.service"])
    level: str = Field(examples=["info"])
    text: str


@router.get(
    "/servers/{name}/journal",
    response=answers({200: list[JournalLineOut]}, 404, 409, 502),
    throttle=READS,
    summary="Read the journal of a server's services",
)
def read_journal(request: HttpRequest, name: Path[Name], query: Query[JournalQuery]) -> list[JournalLineOut]:
    """Asked on the server now, oldest first; secrets are masked. To go on, ask again with the time of the last line."""
    actor = actor_of(request)
    server = selectors.server_named(name)
    wanted = LogQuery(query.unit, moment(query.since, timezone.now()), query.grep, query.level.value, query.lines)
    found = journal.read(actor=actor, server=server, wanted=wanted)
    return [JournalLineOut(at=line.at, unit=line.unit, level=line.level, text=line.text) for line in found]


class CommandIn(Schema):
    """A command, by its words; no shell reads them unless one is named."""

    command: list[Annotated[str, Field(max_length=4000)]] = Field(
        min_length=1, max_length=200, examples=[["python", "-m", "mybot.tool", "--dry-run"]]
    )
    unit: Name = Field("", description="With what this service is given; the first without.", examples=["a.service"])
    seconds: float = Field(one_off.SECONDS, ge=1, le=one_off.WORKER_SECONDS, description="It is ended then.")
    reason: Text = Field("", examples=["The queue has to be emptied"])


@router.post(
    "/servers/{name}/commands",
    response=answers({202: OperationOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Run a command as the application's account",
)
def run_on_server(request: HttpRequest, name: Path[Name], wanted: CommandIn) -> HttpStatus[OperationOut]:
    """A worker runs it in the live release; once it has ended, `output` is there, and `exit_code` is its own."""
    actor = actor_of(request)
    server = selectors.server_named(name)
    chosen = one_off.OneOffCommand(wanted.command, wanted.unit, wanted.seconds)
    row = one_off.run_command(actor=actor, server=server, wanted=chosen, reason=wanted.reason)
    return HttpStatus(202, OperationOut.of(row, actor))


class BackupOut(Document):
    """A backup of a server's databases, made before an activation or a restore."""

    name: str = Field(examples=["20261129T214500Z-41"])
    made_at: datetime
    before: str = Field(description="The deployment that it was made before, or `restore`.", examples=["41"])
    databases: list[str] = Field(examples=[["bot.db"]])
    size: int = Field(description="Bytes.", examples=[184320])
    whole: bool = Field(description="Whether every copy is what was written.")


class RestoreIn(Schema):
    """Which backup is brought back."""

    backup: Name = Field(examples=["20261129T214500Z-41"])
    reason: Text = Field(min_length=1, examples=["The quotes were deleted"])


@router.get(
    "/servers/{name}/backups",
    response=answers({200: list[BackupOut]}, 404, 409, 502),
    throttle=READS,
    summary="List the backups of a server's data",
)
def list_backups(request: HttpRequest, name: Path[Name]) -> list[BackupOut]:
    """Asked there now, the newest first."""
    found = backups_on(actor=actor_of(request), server=selectors.server_named(name))
    return [BackupOut(**asdict(backup)) for backup in found]


@router.post(
    "/servers/{name}/restore",
    response=answers({202: OperationOut}, 404, 409, 413),
    throttle=WRITES,
    summary="Restore a server's data",
)
def restore_server_data(request: HttpRequest, name: Path[Name], wanted: RestoreIn) -> HttpStatus[OperationOut]:
    """Stop, keep what is there as a backup, restore, start, verify; what does not run with it is put back as it was."""
    actor = actor_of(request)
    server = selectors.server_named(name)
    row = restore_data(actor=actor, server=server, backup=wanted.backup, reason=wanted.reason)
    return HttpStatus(202, OperationOut.of(row, actor))
