"""One clock for whatever decides: the database's, on every machine that shares it.

Leases, schedules, expiry and due tasks are written by one machine and judged by another. Compared with machines' own
clocks, a reaper ten minutes ahead ended a healthy deployment, and a task dated in the future waited beside an idle
worker. So what Django, django-q2 and we read as the time is the database's, carried on by this machine's steady clock
and asked for again twice a minute. SQLite has no clock but that of the one machine it is on: nothing changes there.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

ASK_AGAIN_SECONDS = 30.0
TRY_AGAIN_SECONDS = 2.0
_STATEMENT = "SELECT extract(epoch FROM clock_timestamp())::float8"
_machine = timezone.now


@dataclass
class _Known:
    """The database's seconds since 1970 less those of this machine's steady clock; None before it was first asked."""

    ahead: float | None = None
    ask_at: float = 0.0


_known = _Known()


def install() -> None:
    """Make `django.utils.timezone.now` the database's clock in this process, where the database has one."""
    if connection.vendor == "postgresql":
        timezone.now = now


def now() -> datetime:
    """The time by the database's clock; by the machine's while the database has never been reached."""
    steady = time.monotonic()
    if steady >= _known.ask_at:
        _ask(steady)
    if _known.ahead is None:
        return _machine()
    return datetime.fromtimestamp(time.monotonic() + _known.ahead, tz=UTC)


def _ask(steady: float) -> None:
    _known.ask_at = steady + TRY_AGAIN_SECONDS
    try:
        if _known.ahead is None:
            connection.ensure_connection()
        seconds = _database_seconds(connection.connection)
    except (DatabaseError, RuntimeError):  # away; or a test that may not ask
        return
    if seconds is not None:
        answered = time.monotonic()
        _known.ahead = seconds - (steady + answered) / 2
        _known.ask_at = answered + ASK_AGAIN_SECONDS


def _database_seconds(raw: Any) -> float | None:
    """Beside Django's own statements: it fails none of them, and is none of them. None while the line is in use."""
    from psycopg import Error
    from psycopg.pq import TransactionStatus

    if (
        raw is None
        or raw.closed
        or raw.info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.INTRANS)
    ):
        return None
    try:
        with raw.cursor() as cursor:
            return float(cursor.execute(_STATEMENT).fetchone()[0])
    except Error:
        return None
