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
    canonical = json.dumps(content_of(event), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((event.previous_hash + canonical).encode(errors="surrogatepass")).hexdigest()


def head() -> Head:
    """Sequence and hash of the last event (0 and zeros when there is none)."""
    last = AuditEvent.objects.order_by("-sequence").first()
    return Head(last.sequence, last.hash) if last else Head(0, GENESIS)


def verify(known_head: Head | None = None) -> list[Problem]:
    """Walk the whole chain; every altered, missing, inserted or reordered event is named.

    `known_head`, kept elsewhere, also shows a truncated tail or a chain that was written anew. Triggers that are not as
    they should be are a problem too, at sequence 0.
    """
    problems = [
        Problem(0, f"The trigger {name} is missing or altered: events could be rewritten.")
        for name in audit_triggers.missing()
    ]
    expected, previous, before = 1, GENESIS, datetime.min.replace(tzinfo=UTC)
    for event in AuditEvent.objects.order_by("sequence").iterator(chunk_size=2000):
        what = f"Event {event.sequence} ({event.name})"
        if event.sequence < expected:
            problems.append(Problem(event.sequence, f"{what} was inserted: no event has that number."))
        elif event.sequence > expected:
            problems.append(Problem(expected, _missing(expected, event.sequence - 1)))
        elif event.previous_hash != previous:
            problems.append(
                Problem(event.sequence, f"{what} does not follow the event before it: one of them was put there later.")
            )
        if digest(event) != event.hash:
            problems.append(Problem(event.sequence, f"{what} was altered."))
        else:
            if before - event.at > CLOCK_STEP:
                problems.append(Problem(event.sequence, f"{what} is dated {_earlier(event.at, before)}"))
            before = event.at
        if known_head and event.sequence == known_head.sequence and event.hash != known_head.hash:
            problems.append(Problem(event.sequence, f"{what} is not the one whose head was given."))
        expected, previous = max(event.sequence + 1, expected), event.hash
    if before - timezone.now() > CLOCK_STEP:
        problems.append(
            Problem(expected - 1, f"The last event is dated {before:%Y-%m-%d %H:%M} UTC: that is yet to come.")
        )
    if known_head and known_head.sequence >= expected:
        sentence = _missing(expected, known_head.sequence)
        problems.append(Problem(expected, f"{sentence.removesuffix('.')}: the tail was cut off."))
    return problems


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
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor,
        "name": event.name,
        "subject": event.subject,
        "environment": event.environment,
        "data": event.data,
    }


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
