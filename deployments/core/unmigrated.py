"""Why no query succeeds, in one sentence: tables that a fresh clone does not have yet, or a database that is away."""

from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from engine.errors import Conflict, PortalError


class Unmigrated(Conflict):
    """The database has no tables yet, or those of an earlier version."""

    reason = "unmigrated"
    permanent = True


class DatabaseAway(PortalError):
    """Nobody answers where the database should be."""

    reason = "database_away"
    permanent = False
    http_status = 503


def refusal() -> PortalError | None:
    """The sentence that explains a failed query, or None where migrations are not why, or cannot be looked at."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        empty = not executor.loader.applied_migrations
    except DatabaseError:
        return _away()
    if not missing:
        return None
    what = "has no tables yet" if empty else f"is of an earlier version (missing migrations: {len(missing)})"
    return Unmigrated(
        f"The portal's database {what}.",
        hint="`./manage.py migrate` brings it up to date, and `make run` does so by itself; then run this again.",
    )


def _away() -> DatabaseAway | None:
    try:
        connection.ensure_connection()
    except OperationalError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        return DatabaseAway(
            f"The portal's database does not answer ({why}).",
            hint="Look whether it runs, and whether DATABASE_URL names it; then run this again.",
        )
    return None
