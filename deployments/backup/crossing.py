"""From SQLite to PostgreSQL: the rows of a backup into a database of the other kind that has the same tables.

PostgreSQL reads every value as SQLite keeps it, text and numbers, so that nothing is interpreted on the way: what was
encrypted stays so, and the audit trail keeps its hashes.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.apps import apps
from django.core.management.color import no_style
from django.db import DatabaseError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from deployments.backup.databases import DatabaseCopyFailed
from deployments.models import audit_triggers
from engine.errors import InvalidRequest

_MIGRATIONS = "django_migrations"


def require_same_tables(copy: Path, version: str) -> None:
    """Raise InvalidRequest unless the copy has exactly the migrations that these programs have."""
    with _opened(copy) as source:
        applied = set(source.execute(f"SELECT app, name FROM {_MIGRATIONS}"))  # noqa: S608  (our own name)
    if applied != set(MigrationLoader(None).disk_migrations):
        raise InvalidRequest(
            "From SQLite to PostgreSQL a backup goes only with the programs that it was made with.",
            hint=f"Restore it with version {version}, or update the portal on SQLite first, and make another backup.",
        )


def carry_over(copy: Path) -> None:
    """Fill the migrated database with the copy's rows, all or none. Raises DatabaseCopyFailed."""
    tables = [name for name in connection.introspection.table_names() if name != _MIGRATIONS]
    try:
        with _opened(copy) as source, transaction.atomic(), connection.cursor() as cursor:
            for table in tables:
                if table != audit_triggers.TABLE:  # which is empty, and takes no order to become so
                    cursor.execute(f'DELETE FROM "{table}"')  # noqa: S608  (a name from the catalogue)
            for table in tables:
                _fill(source, table)
            for line in connection.ops.sequence_reset_sql(no_style(), apps.get_models(include_auto_created=True)):
                cursor.execute(line)
    except DatabaseError as error:
        raise DatabaseCopyFailed(f"PostgreSQL does not take what SQLite had: {str(error).strip()[-500:]}") from error


def _fill(source: sqlite3.Connection, table: str) -> None:
    """In the order of their keys: an audit event follows the one before it."""
    found = source.execute(f'SELECT * FROM "{table}" ORDER BY rowid')  # noqa: S608  (a name from the catalogue)
    columns = sql.SQL(", ").join(sql.Identifier(column[0]) for column in found.description)
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in found:
            copy.write_row(row)


@contextmanager
def _opened(copy: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as source:
        yield source
