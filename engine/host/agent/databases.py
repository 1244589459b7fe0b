"""The copy of an application's database, and the rows of every table in it."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Optional

from .errors import StepFailed
from .files import fsync_path
from .limits import DATABASE_TIMEOUT, TABLES_COUNTED
from .live_database import LiveDatabase, remove_copy


def copy_database(top: str, name: str, copy: str) -> Dict[str, Optional[int]]:
    """A consistent copy of `name` below `top` that nobody else may write, on disk when this returns; its rows."""
    LiveDatabase(top, name).copy_to(copy)
    try:
        os.chmod(copy, 0o400)
        fsync_path(copy)
        return count_rows(copy, os.path.join(top, name))
    except BaseException:
        remove_copy(copy)
        raise


def count_rows(copy: str, said: str) -> Dict[str, Optional[int]]:
    """Rows per table in a copy of ours; None where counting took too long. Names and tables are the application's:
    virtual tables, which run code of their own, are left out, and so is what goes beyond TABLES_COUNTED."""
    import sqlite3
    import threading

    database = sqlite3.connect("file:%s?mode=ro&immutable=1" % quoted(copy), uri=True)
    limit = threading.Timer(DATABASE_TIMEOUT, database.interrupt)  # a counted tree may be built to have no end
    limit.daemon = True
    limit.start()
    ends = time.monotonic() + DATABASE_TIMEOUT
    try:
        database.execute("PRAGMA trusted_schema=OFF")
        names = database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
            "AND sql LIKE 'CREATE TABLE%' AND length(name) <= 200 ORDER BY name LIMIT ?",
            (TABLES_COUNTED,),
        )
        tables = [str(name) for (name,) in names.fetchall()]
        return {name: rows_of(database, name) if time.monotonic() < ends else None for name in tables}
    except sqlite3.Error as error:
        raise StepFailed("database_unreadable", "The tables of %s cannot be counted: %s." % (said, error)) from error
    finally:
        limit.cancel()
        limit.join()
        database.close()


def rows_of(database: Any, table: str) -> Optional[int]:
    """How many rows; None when counting was interrupted."""
    import sqlite3

    try:
        count = 'SELECT count(*) FROM "%s"' % table.replace('"', '""')  # noqa: S608 - a quoted identifier
        return int(database.execute(count).fetchone()[0])
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return None
        raise


def quoted(path: str) -> str:
    """A path inside a file: URI."""
    return "".join(letter if letter.isalnum() or letter in "/._-" else "%%%02x" % ord(letter) for letter in path)
