"""The databases that tests commit to are whole from their first moment, whoever is first to open them."""

import sqlite3
import threading
from pathlib import Path

import pytest
from django.db import connection

from tests.fixtures.database import renew

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="on PostgreSQL the server makes the copies"),
]


def fresh() -> Path:
    renew()
    return Path(connection.settings_dict["NAME"])


def test_a_fresh_copy_is_in_the_portals_own_mode_before_anybody_has_connected() -> None:
    database = sqlite3.connect(fresh())
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_several_that_open_a_fresh_copy_at_once_all_come_in() -> None:
    """Who changed its mode had everybody else locked out, for once without anybody waiting."""
    said: list[str] = []

    def come(name: Path, together: threading.Barrier) -> None:
        together.wait()
        try:
            database = sqlite3.connect(name, timeout=20, isolation_level=None)
            database.executescript("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; COMMIT;")
            database.close()
        except sqlite3.OperationalError as error:
            said.append(str(error))

    for _ in range(60):
        name, together = fresh(), threading.Barrier(6)
        several = [threading.Thread(target=come, args=(name, together)) for _ in range(6)]
        for each in several:
            each.start()
        for each in several:
            each.join()
    assert said == []
