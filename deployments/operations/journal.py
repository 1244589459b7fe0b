"""What services write: their servers' journal, bounded, masked and made visible at our end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.hidden_characters import visible
from deployments.core.masking import Mask
from deployments.core.sessions import open_session
from deployments.http.server_slots import server_slot
from deployments.models import Server
from deployments.operations.requesting import check_units, units_of
from engine.errors import InvalidRequest, TargetError
from engine.remote import AgentClient

MOST_LINES, MOST_FOLLOWED = 5000, 100_000
LONGEST = 4000  # characters of a line
READ_SECONDS, FOLLOW_SECONDS = 20.0, 3600.0


class Level(StrEnum):
    """As systemd names them, the gravest first."""

    EMERG = "emerg"
    ALERT = "alert"
    CRIT = "crit"
    ERR = "err"
    WARNING = "warning"
    NOTICE = "notice"
    INFO = "info"
    DEBUG = "debug"


LEVELS = [level.value for level in Level]


@dataclass(frozen=True)
class Line:
    """One line of the journal."""

    at: datetime
    unit: str
    level: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.unit} {self.level}: {self.text}"


@dataclass(frozen=True)
class LogQuery:
    """What is asked of a journal. `grep` is a text, whatever its case, and no pattern."""

    units: Sequence[str] = ()
    since: datetime | None = None
    grep: str = ""
    level: str = "debug"
    lines: int = 200

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InvalidRequest(f"{self.level!r} is no level.", hint=f"Choose from: {', '.join(LEVELS)}.")
        if not 1 <= self.lines <= MOST_LINES:
            raise InvalidRequest(f"Between 1 and {MOST_LINES} lines can be asked for.")
        if len(self.grep) > 200:
            raise InvalidRequest("A search has at most 200 characters.")


def read(*, actor: Actor, server: Server, wanted: LogQuery, recorded: bool = True) -> list[Line]:
    """The newest lines that fit, oldest first. `recorded`: not for the next look of somebody who follows a page.

    Raises NotAllowed, NotFound for a unit, Conflict where nothing runs, TargetError.
    """
    found: list[Line] = []
    _ask(actor, server, wanted, found.append, follow=False, recorded=recorded)
    return found


def follow(*, actor: Actor, server: Server, wanted: LogQuery, say: Callable[[Line], None]) -> None:
    """Lines as they are written, after the newest that fit, for an hour at most; whoever leaves ends it there."""
    _ask(actor, server, wanted, say, follow=True, recorded=True)


def _ask(
    actor: Actor, server: Server, wanted: LogQuery, say: Callable[[Line], None], *, follow: bool, recorded: bool
) -> None:
    require(actor, Verb.READ_JOURNAL, server.environment)
    check_units(server, wanted.units)
    units = list(wanted.units) or units_of(server)
    if recorded:
        _record(actor, server, wanted, follow=follow)
    hear = _Listener(Mask.for_environment(server.environment_id), say, MOST_FOLLOWED if follow else wanted.lines)
    request = {
        "units": units,
        "since": int(wanted.since.timestamp()) if wanted.since else 0,
        "grep": wanted.grep,
        "level": wanted.level,
        "lines": wanted.lines,
        "follow": follow,
        "seconds": FOLLOW_SECONDS if follow else READ_SECONDS,
    }
    assert server.current_release is not None  # noqa: S101  (units_of)
    with server_slot(), open_session(server) as session:
        result = AgentClient(session, server.current_release.name).logs(request, hear)
    if result.status != "succeeded":
        raise TargetError(result.sentence, reason=result.reason)


def _record(actor: Actor, server: Server, wanted: LogQuery, *, follow: bool) -> None:
    data = {"units": list(wanted.units), "grep": wanted.grep, "level": wanted.level, "follow": follow}
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="service.journal_read",
            subject=f"server:{server.name}",
            environment=server.environment,
            data=data,
        )


class _Listener:
    """Takes what a server says: no more lines than asked for, each cut, masked and made visible."""

    def __init__(self, mask: Mask, say: Callable[[Line], None], most: int) -> None:
        self._mask = mask
        self._say = say
        self._left = most

    def __call__(self, record: dict[str, Any]) -> None:
        if record.get("kind") != "line":
            return
        self._left -= 1
        if self._left < 0:
            raise TargetError("The server sent more lines than were asked for; it was not listened to any longer.")
        level, text = str(record.get("level")), str(record.get("text", ""))[:LONGEST]
        text = self._mask.cut_off(text) if len(text) == LONGEST else self._mask(text)
        self._say(
            Line(
                _when(record.get("at")),
                visible(str(record.get("unit", ""))[:120], lines=False),
                level if level in LEVELS else "info",
                visible(text, lines=False),
            )
        )


def _when(at: Any) -> datetime:
    """A server's own time; whatever it says, a moment."""
    try:
        return datetime.fromtimestamp(float(at), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return timezone.now()
