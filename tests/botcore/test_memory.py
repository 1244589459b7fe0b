"""bot.db: what is remembered, for how long, and who can read it."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from botcore import recorder
from botcore.cytube.message import Message
from botcore.errors import MemoryUnusable
from botcore.memory import ledger, people
from botcore.memory.schema import MIGRATIONS, Migration, migrate
from botcore.memory.store import Store
from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, Viewer
from tests.botcore.running import CHANNEL, NAME, running, settings_for, until

LATEST = MIGRATIONS[-1].version
HARMLESS = re.compile(r"^(CREATE TABLE|CREATE INDEX|ALTER TABLE \w+ ADD COLUMN .* DEFAULT )")
# What the release after this one might do, and what one that breaks the rule would.
ADDED = Migration(
    LATEST + 1, LATEST, ("ALTER TABLE people ADD COLUMN colour TEXT NOT NULL DEFAULT ''", "CREATE TABLE extra (x TEXT)")
)
BREAKING = Migration(LATEST + 2, LATEST + 2, ("ALTER TABLE people RENAME COLUMN lines TO said",))


def opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def exercise(connection: sqlite3.Connection) -> None:
    """Everything this release asks of the file."""
    now = time.time()
    people.add(connection, [people.Person("Alice", now, now, 2, 3.0)])
    people.add(connection, [people.Person("alice", now + 5, now + 5, 1, 1.0)])
    people.count(connection, at=now, named=1, total=2)
    people.peak(connection, at=now, total=7)
    people.peak(connection, at=now, total=3)
    ledger.record(connection, ledger.Action(now, "Alice", 2.0, "help", "", "ok"))
    ledger.queued(connection, ledger.Outbound(1, now, None, "text"))
    ledger.mark(connection, 1, "delivered")
    assert ledger.unsaid(connection, since=now - 1) == []
    known = people.find(connection, "ALICE")
    assert known == people.Person("alice", now, now + 5, 3, 4.0)
    assert people.totals(connection) == people.Totals(people=1, lines=3, peak=7, peak_at=now, actions=1)


def test_migrations_only_add_so_that_older_releases_can_read_the_file() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    for migration in MIGRATIONS:
        if migration.oldest_reader < migration.version:
            assert all(HARMLESS.match(statement) for statement in migration.statements)


def test_this_release_works_on_the_file_of_a_newer_one_after_a_rollback(tmp_path: Path) -> None:
    connection = opened(tmp_path / "bot.db")
    assert migrate(connection, [*MIGRATIONS, ADDED]) == LATEST + 1
    assert migrate(connection) == LATEST + 1
    exercise(connection)
    assert migrate(connection, [*MIGRATIONS, ADDED]) == LATEST + 1, "and forward again"
    connection.close()


def test_a_file_it_could_misread_is_refused_with_a_sentence(tmp_path: Path) -> None:
    connection = opened(tmp_path / "bot.db")
    migrate(connection, [*MIGRATIONS, ADDED, BREAKING])
    with pytest.raises(MemoryUnusable, match="newer release") as caught:
        migrate(connection)
    assert "Restore" in caught.value.hint
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    connection = opened(tmp_path / "bot.db")
    migrate(connection)
    broken = Migration(LATEST + 1, 1, ("CREATE TABLE half (x TEXT)", "CREATE NONSENSE"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [*MIGRATIONS, broken])
    assert connection.execute("PRAGMA user_version").fetchone()[0] == LATEST
    exercise(connection)
    connection.close()


def test_what_is_old_is_forgotten_and_people_stay(tmp_path: Path) -> None:
    connection = opened(tmp_path / "bot.db")
    migrate(connection)
    now = time.time()
    for days in (1, 8, 31):
        at = now - days * ledger.DAY
        people.count(connection, at=at, named=1, total=1)
        ledger.record(connection, ledger.Action(at, "A", 2.0, "help", "", "ok"))
        ledger.queued(connection, ledger.Outbound(days, at, None, "text"))
    people.add(connection, [people.Person("Old", now - 9e7, now - 9e7, 1, 1.0)])
    ledger.forget(connection, now=now)
    tables = ("user_counts", "actions", "outbound", "people")
    assert [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables] == [2, 2, 1, 1]
    connection.close()


async def test_the_file_is_in_wal_mode_and_a_copy_can_be_taken_while_the_bot_writes(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    await store.run(exercise, timeout=5)
    other = opened(tmp_path / "bot.db")
    assert other.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    copy = opened(tmp_path / "copy.db")
    other.backup(copy)
    assert copy.execute("SELECT count(*) FROM people").fetchone()[0] == 1
    for connection in (other, copy):
        connection.close()
    store.close()


async def test_a_slow_disk_never_holds_up_the_event_loop(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    stuck = threading.Event()
    store.write(lambda _connection: stuck.wait(10))
    started = time.monotonic()
    for _ in range(5000):
        store.write(exercise)
    assert store.dropped > 0, "more than the backlog is dropped and counted"
    with pytest.raises(MemoryUnusable):
        await store.run(lambda connection: None, timeout=0.05)
    assert time.monotonic() - started < 2
    stuck.set()
    await asyncio.to_thread(store.close)


async def test_one_bad_write_loses_only_itself(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    stuck = threading.Event()
    store.write(lambda _connection: stuck.wait(10))
    now = time.time()
    store.write(lambda c: people.add(c, [people.Person("Alice", now, now, 1, 1.0)]))
    store.write(lambda c: c.execute("INSERT INTO nowhere VALUES (1)"))
    store.write(lambda c: people.add(c, [people.Person("Bob", now, now, 1, 1.0)]))
    stuck.set()
    assert (await store.run(people.totals, timeout=5)).people == 2
    assert store.dropped == 1
    store.close()


@pytest.mark.parametrize("damage", ["no folder", "no database", "too new"])
async def test_without_a_usable_file_the_bot_goes_on(
    server: CytubeServer, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bot.db"
    if damage == "no folder":
        tmp_path = tmp_path / "file"
        tmp_path.write_text("in the way")
    elif damage == "no database":
        path.write_bytes(b"not a database" * 100)
    else:
        connection = opened(path)
        migrate(connection, [*MIGRATIONS, ADDED, BREAKING])
        connection.close()
    before = path.read_bytes() if path.exists() else b""
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        assert (await one.bot.outbox.put(Message("still here"))).value == "delivered"
    assert (path.read_bytes() if path.exists() else b"") == before, "the file is left alone"
    assert any("cannot be used" in record.message for record in caplog.records)


def _counted(connection: sqlite3.Connection) -> tuple[list[tuple[int]], int, int]:
    """What was counted, how many people are known, and how many there were at most."""
    totals = people.totals(connection)
    return connection.execute("SELECT named FROM user_counts").fetchall(), totals.people, totals.peak


async def test_counts_are_taken_and_old_things_forgotten_by_the_running_bot(
    server: CytubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_SECONDS", 0.02)
    store = Store(tmp_path / "bot.db")
    old = time.time() - 40 * ledger.DAY
    await store.run(lambda c: people.count(c, at=old, named=9, total=9), timeout=5)
    store.close()
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        async with asyncio.timeout(60):
            while await one.bot.store.run(_counted, timeout=30) != ([(1,)], 1, 1):
                await asyncio.sleep(0.02)


async def test_who_was_here_and_what_they_said_is_added_up(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
        for number in range(3):
            await viewer.chat(f"line {number}")
        await until(lambda: one.bot.telemetry.events["chatMsg"] >= 3)
        await viewer.leave()
        await until(lambda: one.bot.snapshot().room.user("Viewer") is None)
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        found = await one.bot.store.run(lambda c: people.find(c, "viewer"), timeout=5)
        assert found is not None
        assert found.lines == 3, "and history is not counted again after a restart"
        assert 0 <= found.seconds < 60
        assert (await one.bot.store.run(lambda c: people.find(c, NAME), timeout=5)) is not None
