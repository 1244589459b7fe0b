"""Who was here: first and last seen, lines said, time spent; and how many there were at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """What is remembered of a name. Stamps are Unix times; `seconds` is time in the room."""

    name: str
    first_seen: float
    last_seen: float
    lines: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Totals:
    """The room over time."""

    people: int
    lines: int
    peak: int
    peak_at: float
    actions: int


def add(connection: sqlite3.Connection, seen: Iterable[Person]) -> None:
    """Add lines and time to what is known; the first sight of a name stays."""
    connection.executemany(
        "INSERT INTO people (key, name, first_seen, last_seen, lines, seconds) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET name = excluded.name, last_seen = max(last_seen, excluded.last_seen),"
        " lines = lines + excluded.lines, seconds = seconds + excluded.seconds",
        [(one.name.lower(), one.name, one.first_seen, one.last_seen, one.lines, one.seconds) for one in seen],
    )


def find(connection: sqlite3.Connection, name: str) -> Person | None:
    """The person of that name, in any case."""
    row = connection.execute(
        "SELECT name, first_seen, last_seen, lines, seconds FROM people WHERE key = ?", (name.lower(),)
    ).fetchone()
    return Person(*row) if row else None


def count(connection: sqlite3.Connection, *, at: float, named: int, total: int) -> None:
    """Remember how many people there are now."""
    connection.execute("INSERT OR REPLACE INTO user_counts (at, named, total) VALUES (?, ?, ?)", (at, named, total))


def peak(connection: sqlite3.Connection, *, at: float, total: int) -> None:
    """Remember the number if it is the highest ever."""
    connection.execute(
        "INSERT INTO peak (id, total, at) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET total = excluded.total, at = excluded.at WHERE excluded.total > total",
        (total, at),
    )


def totals(connection: sqlite3.Connection) -> Totals:
    """The numbers behind the chat command `stats`."""
    people, lines = connection.execute("SELECT count(*), coalesce(sum(lines), 0) FROM people").fetchone()
    highest = connection.execute("SELECT total, at FROM peak").fetchone() or (0, 0.0)
    actions = connection.execute("SELECT count(*) FROM actions").fetchone()[0]
    return Totals(people=people, lines=lines, peak=highest[0], peak_at=highest[1], actions=actions)
