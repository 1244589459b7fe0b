"""The one writer of the audit trail, and its verification.

Chain: hash(n) = sha256(hash(n-1) + canonical JSON of event n). It detects tampering, it does not prevent it: whoever
can rewrite the whole table can rewrite the chain, which is why the head leaves the machine with every notification.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone

from deployments.models import AuditEvent, Environment
from deployments.services.access import Actor

GENESIS = "0" * 64
_ADVISORY_LOCK = 0x43594F50  # "CYOP": serialises writers on PostgreSQL; SQLite's IMMEDIATE transactions already do


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


def record(
    *, actor: Actor, name: str, subject: str, environment: Environment | str = "", data: dict[str, Any] | None = None
) -> AuditEvent:
    """Append one event; must run inside the transaction of the change it tells of."""
    if not connection.in_atomic_block:
        raise RuntimeError("an audit event is written in the transaction of its change")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
    last = AuditEvent.objects.order_by("-sequence").first()
    event = AuditEvent(
        sequence=last.sequence + 1 if last else 1,
        at=timezone.now(),
        actor=str(actor)[:150],
        name=name,
        subject=subject,
        environment=str(environment),
        data=json.loads(json.dumps(data or {}, cls=DjangoJSONEncoder)),
        previous_hash=last.hash if last else GENESIS,
    )
    event.hash = digest(event)
    event.save(force_insert=True)
    return event


def digest(event: AuditEvent) -> str:
    """The hash that belongs to an event's content and its predecessor."""
    body = {
        "sequence": event.sequence,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor,
        "name": event.name,
        "subject": event.subject,
        "environment": event.environment,
        "data": event.data,
    }
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((event.previous_hash + canonical).encode()).hexdigest()


def head() -> Head:
    """Sequence and hash of the last event (0 and zeros when there is none)."""
    last = AuditEvent.objects.order_by("-sequence").first()
    return Head(last.sequence, last.hash) if last else Head(0, GENESIS)


def verify(known_head: Head | None = None) -> list[Problem]:
    """Walk the whole chain; every altered, missing, inserted or reordered event is named.

    `known_head`, kept elsewhere, also shows a truncated tail.
    """
    problems: list[Problem] = []
    expected, previous = 1, GENESIS
    for event in AuditEvent.objects.order_by("sequence").iterator(chunk_size=2000):
        if event.sequence != expected:
            gap = f"{expected}" if event.sequence == expected + 1 else f"{expected} to {event.sequence - 1}"
            problems.append(Problem(expected, f"Event {gap} is missing."))
        elif event.previous_hash != previous:
            problems.append(
                Problem(event.sequence, f"Event {event.sequence} ({event.name}) does not follow its predecessor.")
            )
        if digest(event) != event.hash:
            problems.append(Problem(event.sequence, f"Event {event.sequence} ({event.name}) was altered."))
        if known_head and event.sequence == known_head.sequence and event.hash != known_head.hash:
            problems.append(Problem(event.sequence, f"Event {event.sequence} is not the one whose head was exported."))
        expected, previous = event.sequence + 1, event.hash
    if known_head and known_head.sequence >= expected:
        problems.append(
            Problem(expected, f"Events {expected} to {known_head.sequence} are missing: the tail was cut off.")
        )
    return problems


def export(events: Iterable[AuditEvent]) -> Iterator[str]:
    """JSON lines of `events`, oldest first, and the head as the last line."""
    for event in events:
        yield json.dumps(
            {
                "sequence": event.sequence,
                "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
                "actor": event.actor,
                "name": event.name,
                "subject": event.subject,
                "environment": event.environment,
                "data": event.data,
                "previous_hash": event.previous_hash,
                "hash": event.hash,
            },
            ensure_ascii=False,
        )
    yield json.dumps({"head": str(head()), "exported_at": datetime.now(UTC).isoformat()})


@transaction.atomic
def record_alone(*, actor: Actor, name: str, subject: str, environment: Environment | str = "", **data: Any) -> None:
    """An event that is its own change: a sign-in, an export, a check."""
    record(actor=actor, name=name, subject=subject, environment=environment, data=data)
