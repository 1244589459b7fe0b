"""What the bot did and said: actions, outbound messages, and how long they are kept."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

DAY = 86_400.0
HISTORY_DAYS = 30
OUTBOUND_DAYS = 7

QUEUED, SENDING = "queued", "sending"


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message as it is remembered."""

    number: int
    at: float
    recipient: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """One use of a chat command."""

    at: float
    who: str
    rank: float
    command: str
    argument: str
    outcome: str


def record(connection: sqlite3.Connection, action: Action) -> None:
    """Remember who did what."""
    connection.execute(
        "INSERT INTO actions (at, who, rank, command, argument, outcome) VALUES (?, ?, ?, ?, ?, ?)",
        (action.at, action.who, action.rank, action.command, action.argument, action.outcome),
    )


def queued(connection: sqlite3.Connection, message: Outbound) -> None:
    """A message waits to be said."""
    connection.execute(
        "INSERT OR IGNORE INTO outbound (id, at, recipient, message, status) VALUES (?, ?, ?, ?, ?)",
        (message.number, message.at, message.recipient, message.text, QUEUED),
    )


def mark(connection: sqlite3.Connection, number: int, status: str, detail: str = "") -> None:
    """A message went on its way, or its fate is known."""
    connection.execute("UPDATE outbound SET status = ?, detail = ? WHERE id = ?", (status, detail, number))


def unsaid(connection: sqlite3.Connection, *, since: float) -> list[Outbound]:
    """What an earlier process left: messages never sent, not older than `since`.

    What was on its way when that process ended may have been said: it becomes "unconfirmed" and is not said again.
    """
    connection.execute("UPDATE outbound SET status = 'unconfirmed' WHERE status = ?", (SENDING,))
    connection.execute("UPDATE outbound SET status = 'expired' WHERE status = ? AND at < ?", (QUEUED, since))
    rows = connection.execute(
        "SELECT id, at, recipient, message FROM outbound WHERE status = ? ORDER BY id", (QUEUED,)
    ).fetchall()
    return [Outbound(*row) for row in rows]


def forget(connection: sqlite3.Connection, *, now: float) -> None:
    """Daily maintenance: user counts and actions are kept 30 days, outbound messages 7. People stay."""
    connection.execute("DELETE FROM user_counts WHERE at < ?", (now - HISTORY_DAYS * DAY,))
    connection.execute("DELETE FROM actions WHERE at < ?", (now - HISTORY_DAYS * DAY,))
    connection.execute("DELETE FROM outbound WHERE at < ?", (now - OUTBOUND_DAYS * DAY,))
