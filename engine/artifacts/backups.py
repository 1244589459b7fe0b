"""What deploy.toml says of an application's data beside its SQLite files: dumps, and how long backups are kept."""

from pydantic import Field

from engine.artifacts.values import Table, Text


class Dump(Table):
    """A database of a server of its own (PostgreSQL, MySQL), by two commands of the application's account."""

    dump: tuple[Text, ...] = Field(
        min_length=1,
        description="A command as a list of words that prints the database to standard output, for example "
        "['pg_dump', '--format=custom', 'dice'].",
    )
    restore: tuple[Text, ...] = Field(
        min_length=1,
        description="A command as a list of words that reads that from standard input and replaces what is there, for "
        "example ['pg_restore', '--clean', '--if-exists', '--single-transaction', '--dbname=dice'].",
    )


class Backups(Table):
    """How many backups a server keeps, and for how long; the newest one always stays."""

    keep: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=1000,
        description="How many, 1 to 1000; without it as many as releases, and two more.",
    )
    days: int | None = Field(
        default=None, strict=True, ge=1, le=3650, description="Days, 1 to 3650, after which one goes; never without it."
    )
