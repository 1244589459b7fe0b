"""Verifications of the audit trail that left a record: a page says when it was last whole, and need not walk it.

The head of the last walk that found nothing wrong is kept in a file of this machine, which no writer of the database
can change: `verify_new` walks what has followed it. docs/security.md says what that cannot see.
"""

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings

from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.read_only import NotInCharge
from deployments.models import AuditEvent
from engine.errors import InvalidRequest

EVENT = "audit.verified"
LATELY_SECONDS = 36 * 3600.0
"""A daily walk may be late, by a night that the machine was off."""


@dataclass(frozen=True)
class Verification:
    """What the last one found: whether the chain was whole, and up to which event."""

    at: datetime
    whole: bool
    problems: int
    sequence: int


def verify(*, actor: Actor, known_head: trail.Head | None = None) -> list[trail.Problem]:
    """Walk the chain, and keep what came of it as an event; a portal that has moved walks it and keeps nothing."""
    head, problems = _walk(known_head)
    with suppress(NotInCharge):
        trail.record_alone(
            actor=actor,
            name=EVENT,
            subject="audit",
            passed=not problems,
            problems=len(problems),
            head=str(head),
            first=problems[0].sentence if problems else "",
        )
    return problems


def verify_new(*, known_head: trail.Head | None = None) -> tuple[list[trail.Problem], trail.Head | None]:
    """Walk what has followed the last whole verification on this machine, and say from where; all where there is none.

    Leaves no event: it is no verification of the trail.
    """
    since = remembered()
    if since is None:
        return _walk(known_head)[1], None
    return trail.verify(known_head, since=since), since


def _walk(known_head: trail.Head | None) -> tuple[trail.Head, list[trail.Problem]]:
    """The whole chain up to its head as it was at the beginning, which is kept when nothing is wrong."""
    head = trail.head()
    problems = trail.verify(known_head)
    if problems:
        _file().unlink(missing_ok=True)  # until a whole walk finds nothing wrong, every walk is a whole one
    else:
        _remember(head)
    return head, problems


def remembered() -> trail.Head | None:
    """The head up to which this machine has found the trail whole; None when it has not, or not lately.

    The daily walk is a row of the schedule: who writes the database can end it, and must not gain by that.
    """
    try:
        if time.time() - _file().stat().st_mtime > LATELY_SECONDS:
            return None
        return trail.Head.parse(_file().read_text())
    except (OSError, InvalidRequest):
        return None


def forget() -> None:
    """Another database stands in this one's place."""
    _file().unlink(missing_ok=True)


def _remember(head: trail.Head) -> None:
    draft = _file().with_name(f"audit-head.{os.getpid()}.new")
    with suppress(OSError):  # a full disk: the next walk is a whole one
        draft.write_text(f"{head}\n")
        draft.replace(_file())


def _file() -> Path:
    return Path(settings.STATE_DIR) / "audit-head"


def last() -> Verification | None:
    """The latest that left a record; None when there is none. One query."""
    event = AuditEvent.objects.filter(name=EVENT).order_by("-sequence").first()
    if event is None:
        return None
    sequence = trail.Head.parse(event.data["head"]).sequence
    return Verification(event.at, bool(event.data["passed"]), int(event.data["problems"]), sequence)
