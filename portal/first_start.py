"""The keys that a portal's first process makes: once, and never where a history exists that has keys already."""

import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

_TRAIL = "deployments_auditevent"
_SECONDS = 5
_DJANGOS = {"pool", "isolation_level", "assume_role", "server_side_binding"}
"""Options of Django's own; the others are the driver's."""


@dataclass(frozen=True)
class FirstStart:
    """Where made keys are kept, and the database, as settings describe it, whose history forbids making any."""

    state_dir: Path
    database: dict[str, Any]

    def value(self, name: str, generate: Callable[[], str]) -> str:
        """The key that was made for `name`, else a new one. Raises ImproperlyConfigured where there is a history."""
        path = self.state_dir / "secrets" / name.lower()
        if path.exists():
            return path.read_text().strip()
        if sys.argv[1:2] == ["restore"] and self._has_history():
            return generate()  # for this process alone: the backup brings the keys, which are written then
        if self._has_history():
            raise ImproperlyConfigured(
                f"{name} is not set, and the database has a history whose keys this process lacks: no other is made. "
                f"Set it (or {name}_FILE) as on the machine where the portal runs, or copy {path.name} from `secrets/` "
                f"of its PORTAL_STATE_DIR to {path.parent}."
            )
        return _generated(path, generate)

    def _has_history(self) -> bool:
        try:
            if "sqlite" in self.database["ENGINE"]:
                return _in_sqlite(Path(self.database["NAME"]))
            return _in_postgresql(self.database)
        except Exception as error:
            raise ImproperlyConfigured(
                f"No key can be made: whether the database has a history could not be asked ({error})."
            ) from error


def set_up() -> str:
    """Set Django up for a process that serves pages or works on tasks.

    Returns why it must not start, in a sentence with a hint; empty when it has the keys of the portal's history.
    """
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        return str(error)
    from deployments.core import portal_keys

    try:
        portal_keys.require_same()
    except portal_keys.OtherKeys as error:
        return error.said
    return ""


def keep_private(directory: Path) -> None:
    """Make a directory that its owner alone enters, or make one so that exists; one of another account's is left."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = directory.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(stat.S_IMODE(found.st_mode) & 0o700)


def _in_sqlite(path: Path) -> bool:
    if not path.exists():
        return False
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_SECONDS)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_TRAIL,)).fetchone():
            return False
        return connection.execute(f"SELECT 1 FROM {_TRAIL} LIMIT 1").fetchone() is not None  # noqa: S608  (our own name)
    finally:
        connection.close()


def _in_postgresql(database: dict[str, Any]) -> bool:
    import psycopg

    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    options = {key: text for key, text in database.get("OPTIONS", {}).items() if key not in _DJANGOS}
    given = {key: database[of] for key, of in named.items() if database.get(of)}
    with psycopg.connect(**{"connect_timeout": _SECONDS, **given, **options}) as connection:
        if connection.execute("SELECT to_regclass(%s)", (_TRAIL,)).fetchone() == (None,):
            return False
        return connection.execute(f"SELECT 1 FROM {_TRAIL} LIMIT 1").fetchone() is not None  # noqa: S608  (see above)


def _generated(path: Path, generate: Callable[[], str]) -> str:
    keep_private(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.touch(mode=0o600)
    draft.write_text(generate())
    try:
        os.link(draft, path)  # two processes may start at once: the first link wins, both read it
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
