"""Database triggers that keep audit events as they were written.

UPDATE, DELETE and (on PostgreSQL) TRUNCATE are refused. An INSERT is accepted only as the next event of the chain: that
also stops SQLite's INSERT OR REPLACE, which deletes without asking the DELETE trigger.
"""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper

TABLE = "deployments_auditevent"
REFUSAL = "audit events are written once"
OUT_OF_ORDER = "an audit event follows the one before it"
GENESIS = "0" * 64

_LAST = f"SELECT hash FROM {TABLE} ORDER BY sequence DESC LIMIT 1"  # noqa: S608  (a constant)
_NEXT = f"SELECT MAX(sequence) + 1 FROM {TABLE}"  # noqa: S608
_TWIN = f"SELECT 1 FROM {TABLE} WHERE hash = NEW.hash"  # noqa: S608
_NOT_NEXT = (
    f"NEW.sequence <> COALESCE(({_NEXT}), 1) OR NEW.previous_hash <> COALESCE(({_LAST}), '{GENESIS}')"
    f" OR EXISTS ({_TWIN})"
)
SQLITE = {
    f"{TABLE}_no_{verb.lower()}": (
        f"CREATE TRIGGER {TABLE}_no_{verb.lower()} BEFORE {verb} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
    for verb in ("UPDATE", "DELETE")
} | {
    f"{TABLE}_in_order": (
        f"CREATE TRIGGER {TABLE}_in_order BEFORE INSERT ON {TABLE} WHEN {_NOT_NEXT}"
        f" BEGIN SELECT RAISE(ABORT, '{OUT_OF_ORDER}'); END"
    )
}
POSTGRES_FUNCTIONS = {
    f"{TABLE}_refuse": f" BEGIN RAISE EXCEPTION '{REFUSAL}'; END ",
    f"{TABLE}_check_order": (f" BEGIN IF {_NOT_NEXT} THEN RAISE EXCEPTION '{OUT_OF_ORDER}'; END IF; RETURN NEW; END "),
}
POSTGRES = {
    f"{TABLE}_no_update": f"BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse()",
    f"{TABLE}_no_delete": f"BEFORE DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {TABLE}_refuse()",
    f"{TABLE}_no_truncate": f"BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_refuse()",
    f"{TABLE}_in_order": f"BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {TABLE}_check_order()",
}


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of the triggers that the database lacks, has disabled or has with another body."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE])
            found = dict(cursor.fetchall())
            return sorted(name for name, sql in SQLITE.items() if found.get(name) != sql)
        return _missing_postgres(cursor)


def reinstall(using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Put missing triggers back; runs after every migration."""
    connection = connections[using]
    if TABLE not in connection.introspection.table_names():
        return
    absent = missing(using)
    with connection.cursor() as cursor:
        if absent and connection.vendor == "postgresql":
            for name, body in POSTGRES_FUNCTIONS.items():
                cursor.execute(f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        for name in absent:
            if connection.vendor == "sqlite":
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
                cursor.execute(SQLITE[name])
            else:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name} ON {TABLE}")
                cursor.execute(f"CREATE TRIGGER {name} {POSTGRES[name]}")


def _missing_postgres(cursor: CursorWrapper) -> list[str]:
    # pg_get_triggerdef qualifies the table with its schema unless that is on the search path, as it is here
    cursor.execute(
        "SELECT t.tgname, p.proname, p.prosrc, pg_get_triggerdef(t.oid) FROM pg_trigger t "
        "JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE t.tgrelid = to_regclass(%s) AND NOT t.tgisinternal AND t.tgenabled <> 'D'",
        [TABLE],
    )
    whole = {
        name
        for name, function, body, definition in cursor.fetchall()
        if POSTGRES_FUNCTIONS.get(function) == body and _same(definition, name)
    }
    return sorted(set(POSTGRES) - whole)


def _same(definition: str, name: str) -> bool:
    shown = definition.replace(" public.", " ")
    return shown == f"CREATE TRIGGER {name} {POSTGRES.get(name, '')}"
