"""What a release needs once before its web process starts: `python -m portal.prepare`, by systemd/cytube-web.service.

Loads all of it, copies the database, migrates it and collects static files. A stamp in the state directory names the
release for which that was done, so that a web process which was killed is back without it.
"""

import importlib
import os
import sys
from pathlib import Path

from portal.environment import state_dir

KEEP = 3
"""Copies of the database from before an update that stay."""


def main() -> int:
    """Prepare unless this release has been. What fails leaves the database as it was, and is told by systemd."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    release, state = os.environ.get("RELEASE_ID", ""), state_dir()
    stamp = state / "prepared"
    if release and stamp.exists() and stamp.read_text() == release:
        return 0
    import django

    django.setup()
    from django.core.management import call_command

    call_command("check")  # a release that cannot even be loaded says so before it touches anything
    importlib.import_module("portal.wsgi")
    update_database(state / "before-update", release or "release")
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(release)
    return 0


def update_database(copies: Path, release: str) -> None:
    """Migrate; where there is something to lose, after a copy and in one transaction: all of it or nothing.

    The copies are for a person: a revert needs none, since the release before works with what compatible migrations
    leave (`portal.compatibility`), and what was written since must not be lost.
    """
    from django.core.management import call_command
    from django.db import connection, transaction

    from deployments.backup import databases

    if databases.is_empty():
        call_command("migrate", interactive=False, verbosity=0)
        return
    copies.mkdir(mode=0o700, exist_ok=True)
    databases.dump(copies / f"{release}.{databases.NAMES[connection.vendor]}")
    for old in sorted(copies.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEEP]:
        old.unlink()
    # SQLite's schema editor wants this off, and inside a transaction it can no longer be switched
    connection.disable_constraint_checking()
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:  # a table with checks that wait for the commit cannot be altered
                    cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            call_command("migrate", interactive=False, verbosity=0)
    finally:
        connection.enable_constraint_checking()


if __name__ == "__main__":
    sys.exit(main())
