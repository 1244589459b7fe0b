"""The one writer of the audit trail, and its verification.

Chain: hash(n) = sha256(hash(n-1) + canonical JSON of event n). It detects tampering, it does not prevent it: whoever
can rewrite the whole table can rewrite the chain, which is why the head leaves the machine with every notification
and every export. `docs/security.md` says what each kind of tampering looks like.
"""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone

from deployments.core import read_only
from deployments.core.actors import Actor
from deployments.models import AuditEvent, Environment, audit_triggers
from engine.errors import InvalidRequest

GENESIS = "0" * 64
CLOCK_STEP = timedelta(minutes=5)
"""Events may be dated earlier than those before them by so much: clocks are set, and several machines have several."""
_ADVISORY_LOCK = 0x43594F50  # "CYOP": serialises writers on PostgreSQL; SQLite's IMMEDIATE transactions already do
_EXACT_INTEGERS = 2**53  # beyond it a float's JSON text differs between SQLite and PostgreSQL
_COLUMNS = ("sequence", "at", "actor", "name", "subject", "environment", "data", "previous_hash")
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_quoted = json.encoder.encode_basestring
_GIVEN = "whose head was given"
_HEAD = re.compile(r"^(\d+):([0-9a-f]{64})$")


@dataclass(frozen=True)
class Problem:
    """Something wrong with the chain at one sequence number."""

    sequence: int
    sentence: str


@dataclass(frozen=True)
class Head:
    """The last event: whoever keeps a copy can prove a truncated tail."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """A head as notifications and exports show it. Raises InvalidRequest."""
        match = _HEAD.match(text.strip())
        if match is None:
            raise InvalidRequest(
                f"{text!r} is no audit head.",
                hint="It is SEQUENCE:HASH, as in notifications and at the end of exports.",
            )
        return cls(int(match[1]), match[2])


def record(
    *, actor: Actor, name: str, subject: str, environment: Environment | str = "", data: dict[str, Any] | None = None
) -> AuditEvent:
    """Append one event; must run inside the transaction of the change it tells of.

    Raises NotInCharge when the portal has moved, whoever asked for the change.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("an audit event is written in the transaction of its change")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
    if name not in read_only.STILL_RECORDED:  # under the lock: nothing slips in behind a move that begins
        read_only.refuse_change()
    last = AuditEvent.objects.order_by("-sequence").first()
    event = AuditEvent(
        sequence=last.sequence + 1 if last else 1,
        at=timezone.now(),
        actor=_text(str(actor))[:150],
        name=name,
        subject=_text(subject)[:100],
        environment=str(environment),
        data=_plain(json.loads(json.dumps(data or {}, cls=DjangoJSONEncoder))),
        previous_hash=last.hash if last else GENESIS,
    )
    event.hash = digest(event)
    event.save(force_insert=True)
    return event


def digest(event: AuditEvent) -> str:
    """The hash that belongs to an event's content and its predecessor."""
    return _digest(*(getattr(event, column) for column in _COLUMNS))


def head() -> Head:
    """Sequence and hash of the last event (0 and zeros when there is none)."""
    last = AuditEvent.objects.order_by("-sequence").first()
    return Head(last.sequence, last.hash) if last else Head(0, GENESIS)


def verify(known_head: Head | None = None, *, since: Head | None = None) -> list[Problem]:
    """Walk the whole chain; every altered, missing, inserted or reordered event is named.

    `known_head`, kept elsewhere, also shows a truncated tail or a chain that was written anew. With `since`, which was
    verified before, only that event and what follows it is walked: what was done to earlier ones is not seen. Triggers
    that are not as they should be are a problem too, at sequence 0.
    """
    problems = [
        Problem(0, f"The trigger {name} is missing or altered: events could be rewritten.")
        for name in audit_triggers.missing()
    ]
    if since and since.sequence and (found := _at(since, "up to which it was verified before")):
        return [*problems, found]
    if known_head and since and 0 < known_head.sequence <= since.sequence and (found := _at(known_head, _GIVEN)):
        problems.append(found)
    return problems + _walk(known_head, since or Head(0, GENESIS))


def _walk(known_head: Head | None, since: Head) -> list[Problem]:
    """What follows `since`; columns as plain values, since a trail has a million of them."""
    problems: list[Problem] = []
    first = AuditEvent.objects.filter(sequence=since.sequence).first()
    expected, previous = since.sequence + 1, since.hash
    before = first.at if first else datetime.min.replace(tzinfo=UTC)
    rows = AuditEvent.objects.filter(sequence__gt=since.sequence) if since.sequence else AuditEvent.objects.all()
    for row in rows.order_by("sequence").values_list(*_COLUMNS, "hash").iterator(chunk_size=2000):
        sequence, at, name, linked, stated = row[0], row[1], row[3], row[7], row[8]
        if sequence != expected or linked != previous:
            problems.append(_misplaced(f"Event {sequence} ({name})", sequence, expected))
        if _digest(*row[:8]) != stated:
            problems.append(Problem(sequence, f"Event {sequence} ({name}) was altered."))
        else:
            if before - at > CLOCK_STEP:
                problems.append(Problem(sequence, f"Event {sequence} ({name}) is dated {_earlier(at, before)}"))
            before = at
        if known_head and sequence == known_head.sequence and stated != known_head.hash:
            problems.append(Problem(sequence, f"Event {sequence} ({name}) is not the one {_GIVEN}."))
        expected, previous = max(sequence + 1, expected), stated
    if before - timezone.now() > CLOCK_STEP:
        problems.append(
            Problem(expected - 1, f"The last event is dated {before:%Y-%m-%d %H:%M} UTC: that is yet to come.")
        )
    if known_head and known_head.sequence >= expected:
        sentence = _missing(expected, known_head.sequence)
        problems.append(Problem(expected, f"{sentence.removesuffix('.')}: the tail was cut off."))
    return problems


def _misplaced(what: str, sequence: int, expected: int) -> Problem:
    if sequence < expected:
        return Problem(sequence, f"{what} was inserted: no event has that number.")
    if sequence > expected:
        return Problem(expected, _missing(expected, sequence - 1))
    return Problem(sequence, f"{what} does not follow the event before it: one of them was put there later.")


def _at(head: Head, which: str) -> Problem | None:
    """What is wrong with the event of a head that is known; None when it is that one, unaltered."""
    event = AuditEvent.objects.filter(sequence=head.sequence).first()
    if event is None:
        return Problem(head.sequence, _missing(head.sequence, head.sequence))
    if event.hash != head.hash or digest(event) != head.hash:
        return Problem(head.sequence, f"Event {event.sequence} ({event.name}) is not the one {which}.")
    return None


@transaction.atomic
def record_alone(*, actor: Actor, name: str, subject: str, environment: Environment | str = "", **data: Any) -> None:
    """An event that is its own change: a sign-in, a check."""
    record(actor=actor, name=name, subject=subject, environment=environment, data=data)


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """What an edit changed, as `{"field.inner": [before, after]}`; tables are compared key by key."""
    found: dict[str, list[Any]] = {}
    for key in sorted(set(before) | set(after)):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= {f"{key}.{inner}": pair for inner, pair in changes(old, new).items()}
        elif old != new:
            found[key] = [old, new]
    return found


def content_of(event: AuditEvent) -> dict[str, Any]:
    """What of an event is hashed and exported: all of it but the hash, moments in UTC to the microsecond."""
    return {
        "sequence": event.sequence,
        "at": _moment(event.at),
        "actor": event.actor,
        "name": event.name,
        "subject": event.subject,
        "environment": event.environment,
        "data": event.data,
    }


def _digest(
    sequence: int, at: datetime, actor: str, name: str, subject: str, environment: str, data: Any, previous_hash: str
) -> str:
    """sha256 over the previous hash and the canonical JSON: sorted keys, no spaces, UTF-8."""
    canonical = (
        f'{{"actor":{_quoted(actor)},"at":"{_moment(at)}","data":{_JSON(data)},"environment":{_quoted(environment)},'
        f'"name":{_quoted(name)},"sequence":{sequence},"subject":{_quoted(subject)}}}'
    )
    return hashlib.sha256((previous_hash + canonical).encode(errors="surrogatepass")).hexdigest()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _earlier(at: datetime, before: datetime) -> str:
    return (
        f"{at:%Y-%m-%d %H:%M} UTC, earlier than the event before it ({before:%Y-%m-%d %H:%M} UTC): "
        "a clock was wrong, or it was dated to deceive."
    )


def _missing(first: int, last: int) -> str:
    return f"Event {first} is missing." if first == last else f"Events {first} to {last} are missing."


def _plain(value: Any) -> Any:
    """The value as both databases give it back: no NUL in texts, no float that PostgreSQL would write as an integer."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if abs(value) >= _EXACT_INTEGERS else value + 0.0  # -0.0 has no place in PostgreSQL's JSON
    return value


def _text(text: str) -> str:
    return text.replace("\x00", "").encode(errors="replace").decode()
