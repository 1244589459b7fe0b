"""Copying the portal's whole database out and in: SQLite by VACUUM INTO, PostgreSQL by pg_dump and pg_restore."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, connections, transaction

from engine.errors import PortalError

TIMEOUT = 3600.0
"""Seconds that pg_dump and pg_restore may take."""
NAMES = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}
LEFT_OUT = "deployments_bootstrapkey"
"""The table whose rows no copy has: people's keys to root, for one provisioning that waits."""


class DatabaseCopyFailed(PortalError):
    """The database could not be copied."""

    reason = "database_copy_failed"


def dump(target: Path) -> dict[str, int]:
    """Write a consistent copy while everybody goes on working; returns the number of rows of every table in it.

    `LEFT_OUT` is empty in it.
    """
    if connection.vendor == "sqlite":
        return _dump_sqlite(target)
    return _dump_postgres(target)


def replace_with(copy: Path) -> None:
    """Make the copy the database of this portal. Nobody else may be working with it. Raises DatabaseCopyFailed."""
    if connection.vendor == "sqlite":
        _check_sqlite(copy)
        connections.close_all()
        file = Path(str(connection.settings_dict["NAME"]))
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.replace(copy, file)  # noqa: PTH105  (atomic, and it says so)
        return
    empty()
    _run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={connection.settings_dict['NAME']}", str(copy))


def empty() -> None:
    """Make the PostgreSQL database anew, with nothing in it."""
    connections.close_all()
    with connection._nodb_cursor() as cursor:
        name = str(connection.settings_dict["NAME"])
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}"')


def require_may_replace() -> None:
    """Raise DatabaseCopyFailed where the database could be dropped and not be made again."""
    if connection.vendor == "sqlite":
        return
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = current_user AND NOT (rolcreatedb OR rolsuper)")
        lacking = cursor.fetchone()
    if lacking is not None:
        raise DatabaseCopyFailed(
            f"The role {lacking[0]} may not create databases, and a restore makes the portal's anew.",
            hint=f'Have PostgreSQL\'s administrator run `ALTER ROLE "{lacking[0]}" CREATEDB`. Nothing was changed.',
        )


def row_counts() -> dict[str, int]:
    """The number of rows of every table of the database that is configured."""
    with connection.cursor() as cursor:
        return _counts(cursor)


def is_empty() -> bool:
    """Whether nothing has happened in this database yet: no table, or no audit event."""
    if connection.vendor == "sqlite" and not Path(str(connection.settings_dict["NAME"])).exists():
        return True  # connecting would make it
    tables = connection.introspection.table_names()
    if "deployments_auditevent" not in tables:
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM deployments_auditevent")
        return bool(cursor.fetchone()[0] == 0)


def _dump_sqlite(target: Path) -> dict[str, int]:
    target.unlink(missing_ok=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(target)])
    copy = sqlite3.connect(f"file:{target}?mode=rw", uri=True, isolation_level=None)
    try:
        names = [
            row[0]
            for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        ]
        if LEFT_OUT in names:  # a portal that was updated, and not migrated yet, has none
            copy.execute("PRAGMA secure_delete = ON")  # else the bytes stay in pages that nothing uses
            copy.execute(f"DELETE FROM {LEFT_OUT}")  # noqa: S608  (our own name)
        return {name: copy.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608
    finally:
        copy.close()


def _check_sqlite(copy: Path) -> None:
    try:
        database = sqlite3.connect(f"file:{copy}?mode=ro", uri=True)
        try:
            (said,) = database.execute("PRAGMA integrity_check").fetchone()
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise DatabaseCopyFailed(f"The database in the backup is damaged: {said}.", hint="Use another backup.")


def _dump_postgres(target: Path) -> dict[str, int]:
    with _snapshot() as (snapshot, counts):
        _run(
            *("pg_dump", "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={target}"),
            f"--exclude-table-data={LEFT_OUT}",
            f"--dbname={connection.settings_dict['NAME']}",
        )
        return counts | {LEFT_OUT: 0}


@contextmanager
def _snapshot() -> Iterator[tuple[str, dict[str, int]]]:
    """One moment of the database, for pg_dump and for counting alike."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT pg_export_snapshot()")
        (name,) = cursor.fetchone()
        yield str(name), _counts(cursor)


def _counts(cursor: Any) -> dict[str, int]:
    counts = {}
    for table in connection.introspection.table_names(cursor):
        cursor.execute(f'SELECT COUNT(*) FROM "{table}"')  # noqa: S608  (a name from the catalogue)
        counts[table] = int(cursor.fetchone()[0])
    return counts


def _run(*command: str) -> None:
    wanted = connection.get_connection_params()
    named = {"PGHOST": wanted.get("host"), "PGPORT": wanted.get("port"), "PGUSER": wanted.get("user")}
    named["PGPASSWORD"] = wanted.get("password")  # in the environment: an argument would be readable by everybody
    environment = {**os.environ, **{name: str(value) for name, value in named.items() if value}}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise DatabaseCopyFailed(
            f"{command[0]} is not installed.", hint="Install postgresql-client (Debian) on this machine."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DatabaseCopyFailed(f"{command[0]} had not ended after {TIMEOUT:.0f} s.") from error
    if done.returncode:
        raise DatabaseCopyFailed(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
