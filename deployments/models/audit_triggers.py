"""Database triggers that refuse UPDATE, DELETE and (on PostgreSQL) TRUNCATE of audit events."""

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

TABLE = "deployments_auditevent"
REFUSAL = "audit events are written once"

SQLITE = {
    f"{TABLE}_no_{verb.lower()}": (
        f"CREATE TRIGGER {TABLE}_no_{verb.lower()} BEFORE {verb} ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
    for verb in ("UPDATE", "DELETE")
}
POSTGRES_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
)
POSTGRES = {
    f"{TABLE}_no_update": f"BEFORE UPDATE ON {TABLE} FOR EACH ROW",
    f"{TABLE}_no_delete": f"BEFORE DELETE ON {TABLE} FOR EACH ROW",
    f"{TABLE}_no_truncate": f"BEFORE TRUNCATE ON {TABLE} FOR EACH STATEMENT",
}


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of the triggers that the database should have and has not."""
    connection = connections[using]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE])
            wanted = set(SQLITE)
        else:
            cursor.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal "
                "AND tgenabled <> 'D'",
                [TABLE],
            )
            wanted = set(POSTGRES)
        return sorted(wanted - {row[0] for row in cursor.fetchall()})


def reinstall(using: str = DEFAULT_DB_ALIAS, **_signal: Any) -> None:
    """Put missing triggers back; runs after every migration."""
    connection = connections[using]
    if TABLE not in connection.introspection.table_names():
        return
    absent = missing(using)
    with connection.cursor() as cursor:
        if absent and connection.vendor == "postgresql":
            cursor.execute(POSTGRES_FUNCTION)
        for name in absent:
            if connection.vendor == "sqlite":
                cursor.execute(SQLITE[name])
            else:
                cursor.execute(f"CREATE TRIGGER {name} {POSTGRES[name]} EXECUTE FUNCTION {TABLE}_refuse()")
