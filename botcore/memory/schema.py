"""The tables of bot.db, and how a file of another release is met.

Rollbacks happen, so an older release must be able to work on the file a newer one has migrated. Therefore migrations
only add: tables, indexes, columns with a default. A migration that cannot keep to that raises `oldest_reader` to its
own version, and older releases then refuse the file instead of misreading it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from botcore.errors import MemoryUnusable


@dataclass(frozen=True, slots=True)
class Migration:
    """Statements that lead to `version`; `oldest_reader` is the lowest version that still understands the result."""

    version: int
    oldest_reader: int
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        version=1,
        oldest_reader=1,
        statements=(
            "CREATE TABLE compatibility (oldest_reader INTEGER NOT NULL)",
            "CREATE TABLE people (key TEXT PRIMARY KEY, name TEXT NOT NULL, first_seen REAL NOT NULL,"
            " last_seen REAL NOT NULL, lines INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0)"
            " WITHOUT ROWID",
            "CREATE TABLE user_counts (at REAL PRIMARY KEY, named INTEGER NOT NULL, total INTEGER NOT NULL)"
            " WITHOUT ROWID",
            "CREATE TABLE peak (id INTEGER PRIMARY KEY CHECK (id = 1), total INTEGER NOT NULL, at REAL NOT NULL)",
            "CREATE TABLE actions (id INTEGER PRIMARY KEY, at REAL NOT NULL, who TEXT NOT NULL, rank REAL NOT NULL,"
            " command TEXT NOT NULL, argument TEXT NOT NULL, outcome TEXT NOT NULL)",
            "CREATE INDEX actions_at ON actions (at)",
            "CREATE TABLE outbound (id INTEGER PRIMARY KEY, at REAL NOT NULL, recipient TEXT, message TEXT NOT NULL,"
            " status TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '')",
            "CREATE INDEX outbound_status ON outbound (status, at)",
        ),
    ),
)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring the file up to the newest version we know, in one transaction; returns the file's version.

    A file of a newer release is used as it is. Raises MemoryUnusable when its migrations say that we cannot.
    """
    ours = migrations[-1].version
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > ours:
        oldest = int(connection.execute("SELECT oldest_reader FROM compatibility").fetchone()[0])
        if oldest > ours:
            raise MemoryUnusable(
                f"bot.db is of a newer release (version {found}, we know {ours}) that this one cannot work with.",
                hint="Restore the copy that was taken before the newer release was activated.",
            )
        return found
    if found < ours:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for migration in migrations:
                if migration.version > found:
                    _apply(connection, migration)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    return ours


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in migration.statements:
        connection.execute(statement)
    connection.execute("DELETE FROM compatibility")
    connection.execute("INSERT INTO compatibility VALUES (?)", (migration.oldest_reader,))
    connection.execute(f"PRAGMA user_version = {migration.version:d}")
