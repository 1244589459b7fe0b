"""Why no query succeeds, in one sentence: tables that a fresh clone does not have yet, or a database that is away."""

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from engine.errors import Conflict, PortalError

_READ_ONLY = "25006"
"""SQLSTATE of a change in a database that is only read."""
_LATER = "Bots and running deployments go on without it. Try again in a moment."


class Unmigrated(Conflict):
    """The database has no tables yet, or those of an earlier version."""

    reason = "unmigrated"
    permanent = True


class DatabaseAway(PortalError):
    """Nobody answers where the database should be."""

    reason = "database_away"
    permanent = False
    http_status = 503


def explained(error: BaseException | None) -> PortalError | None:
    """What a visitor is told of a request that ended with `error`, without an address; None: no database is why."""
    if not isinstance(error, DatabaseError | InterfaceError):
        return None
    if _away():
        return DatabaseAway("The portal's database does not answer.", hint=_LATER)
    if getattr(error.__cause__, "sqlstate", None) == _READ_ONLY:
        return DatabaseAway("The portal's database takes no changes.", hint=_LATER)
    if unready := _unmigrated():
        return unready
    broke = isinstance(error, OperationalError | InterfaceError)
    return DatabaseAway("The portal's database broke this off.", hint=_LATER) if broke else None


def refusal() -> PortalError | None:
    """The sentence that explains a failed query, or None where migrations are not why, or cannot be looked at."""
    return _away() or _unmigrated()


def _unmigrated() -> Unmigrated | None:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        empty = not executor.loader.applied_migrations
    except DatabaseError:
        return None
    if not missing:
        return None
    what = "has no tables yet" if empty else f"is of an earlier version (missing migrations: {len(missing)})"
    return Unmigrated(
        f"The portal's database {what}.",
        hint="`./manage.py migrate` brings it up to date, and `make run` does so by itself; then run this again.",
    )


def _away() -> DatabaseAway | None:
    try:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()  # it was there, and broke meanwhile
        connection.ensure_connection()
    except OperationalError as error:
        why = str(error).strip().splitlines()[0].rstrip(".")
        return DatabaseAway(
            f"The portal's database does not answer ({why}).",
            hint="Look whether it runs, and whether DATABASE_URL names it; then run this again.",
        )
    return None
