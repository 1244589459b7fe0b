"""The application's databases lie where its account writes: copied without trusting what lies there, and whole."""

import errno
import os
import resource
import sqlite3
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.host.agent import databases
from engine.host.agent.databases import copy_database
from engine.host.agent.errors import StepFailed
from engine.host.agent.processes import Tools
from engine.host.agent.steps.backup import backup
from engine.host.agent.steps.dependencies import run_check
from engine.host.agent.steps.verify import compare_rows
from engine.host.agent.steps.work import Work
from engine.host.agent.tree import Tree

JOURNAL = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

CRASH = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=" + sys.argv[2])
database.execute("PRAGMA cache_spill=1")
database.execute("PRAGMA cache_size=2")
database.execute("PRAGMA wal_autocheckpoint=0")
database.execute("BEGIN")
database.executemany("INSERT INTO rolls(text) VALUES (?)", [("x" * 900,)] * 400)
if sys.argv[3] == "commit":
    database.execute("COMMIT")
os._exit(0)
"""


def run_for(tree: Tree, *names: str) -> Work:
    """A run of which only the steps that look at databases are tried."""
    role = {"role": "bot", "units": [], "databases": list(names), "check": [], "env_digest": None}
    run = Work.__new__(Work)
    run.tree, run.rows_before = tree, {}
    run.plan = {"deployment": "d1", "roles": [role]}
    run.recorder = SimpleNamespace(log=lambda *said: None)  # type: ignore[assignment]  # a stand-in
    return run


def rolls(path: Path, count: int = 3, journal_mode: str = "delete") -> Path:
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA journal_mode={journal_mode}")
        database.execute("CREATE TABLE rolls(id INTEGER PRIMARY KEY, text TEXT)")
        database.executemany("INSERT INTO rolls(text) VALUES (?)", [("a",)] * count)
    database.close()
    return path


def crash(path: Path, journal_mode: str, ending: str) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(path), journal_mode, ending], check=True)


def backed_up(tree: Tree, name: str = "bot.db") -> dict[str, int | None]:
    return dict(backup(run_for(tree, name))["databases"][name]["rows"])


def leftovers(tree: Tree) -> list[str]:
    return sorted(path.name for path in Path(tree.backups).rglob("*") if path.is_file())


def test_a_journal_that_names_another_file_deletes_nothing(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    victim = Path(tree.root, "victim")
    journal = Path(f"{path}-journal")
    # what SQLite writes for a transaction over several databases: the victim in the place of the "super-journal"
    name = str(victim).encode()
    checksum = sum(struct.unpack(f"{len(name)}b", name)) & 0xFFFFFFFF
    header = JOURNAL + struct.pack(">IIIII", 0, 1, 1, 512, 4096)
    body = header.ljust(512, b"\0")
    ending = struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), checksum) + JOURNAL
    journal.write_bytes(body + ending)
    victim.write_bytes(body)  # SQLite deletes it when no child of it is hot
    with pytest.raises(StepFailed, match="several databases"):
        backed_up(tree)
    assert victim.exists()
    assert journal.exists()
    assert leftovers(tree) == []


@pytest.mark.parametrize("name", ["bot.db", "bot.db-wal", "bot.db-journal"])
@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "socket"])
def test_what_is_no_plain_file_is_refused_and_named(tree: Tree, name: str, kind: str) -> None:
    rolls(Path(tree.data, "bot.db"))
    path = Path(tree.data, name)
    path.unlink(missing_ok=True)
    elsewhere = rolls(Path(tree.secrets, "elsewhere.db"))
    before = elsewhere.read_bytes()
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mknod(path, 0o140600)
    with pytest.raises(StepFailed, match=name):
        backed_up(tree)
    assert not list(Path(tree.backups).iterdir())
    assert elsewhere.read_bytes() == before
    assert leftovers(tree) == []


def test_no_link_is_followed_on_the_way(tree: Tree) -> None:
    rolls(Path(tree.secrets, "bot.db"))
    Path(tree.data, "sub").symlink_to(tree.secrets)
    with pytest.raises(StepFailed, match="sub"):
        backed_up(tree, "sub/bot.db")
    assert leftovers(tree) == []


@pytest.mark.parametrize("journal_mode", ["delete", "truncate", "persist", "wal"])
@pytest.mark.parametrize(("ending", "rows"), [("commit", 403), ("nothing", 3)])
def test_what_a_killed_application_left_is_copied_as_it_was_agreed(
    tree: Tree, journal_mode: str, ending: str, rows: int
) -> None:
    path = rolls(Path(tree.data, "bot.db"), journal_mode=journal_mode)
    crash(path, journal_mode, ending)
    before = {file.name: file.read_bytes() for file in Path(tree.data).iterdir()}
    assert backed_up(tree)["rolls"] == rows
    assert {file.name: file.read_bytes() for file in Path(tree.data).iterdir()} == before  # not a byte of it touched
    (copy,) = [name for name in leftovers(tree) if not name.endswith(".sha256")]
    found = sqlite3.connect(next(Path(tree.backups).rglob(copy)))
    assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found.close()


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_copies_are_whole_while_the_application_writes(tree: Tree, journal_mode: str) -> None:
    path = rolls(Path(tree.data, "bot.db"), 0, journal_mode)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE twins(id INTEGER PRIMARY KEY, text TEXT)")
    database.close()
    # another process: SQLite's locks are a process's
    program = (
        "import sqlite3, sys\n"
        f"database = sqlite3.connect({str(path)!r}, timeout=30, isolation_level=None)\n"
        "database.execute('PRAGMA wal_autocheckpoint=5')\n"
        "database.execute('PRAGMA synchronous=OFF')\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    database.execute('BEGIN IMMEDIATE')\n"
        "    for table in ('rolls', 'twins'):\n"
        "        database.executemany('INSERT INTO ' + table + '(text) VALUES (?)', [('x' * 500,)] * 5)\n"
        "    database.execute('COMMIT')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            seen = []
            for number in range(10):
                copy = str(Path(tree.backups, f"copy-{number}"))
                counted = copy_database(tree.data, "bot.db", copy)
                assert counted["rolls"] == counted["twins"]
                found = sqlite3.connect(copy)
                assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                found.close()
                seen.append(counted["rolls"])
            assert seen[-1] != seen[0]  # it did write meanwhile
        finally:
            writer.kill()


def test_a_lock_that_is_never_let_go_ends_the_step(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    program = (
        f"import sqlite3; database = sqlite3.connect({str(path)!r}); database.execute('BEGIN EXCLUSIVE'); "
        "print(1, flush=True); input()"
    )
    monkeypatch.setattr(databases, "DATABASE_TIMEOUT", 0.3)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StepFailed, match="locked"):
            backed_up(tree)
        holder.kill()
    assert leftovers(tree) == []


def test_a_file_that_promises_more_than_the_disk_has_is_not_copied(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    os.truncate(path, 1 << 42)
    with pytest.raises(StepFailed) as failed:
        backed_up(tree)
    assert failed.value.reason == "disk_full"
    assert leftovers(tree) == []


def endless_tree(path: Path) -> None:
    """Give the table `rolls` pages that refer to the next one hundreds of times each: 300 to the power of 17 rows."""
    with sqlite3.connect(path) as database:
        database.executemany("INSERT INTO rolls(text) VALUES (?)", [("x" * 900,)] * 300)
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rolls'").fetchone()
    database.close()
    content = bytearray(path.read_bytes())
    leaf = content[3 * 4096 : 4 * 4096]
    chain = [root, *range(10, 27)]
    for page, below in zip(chain, [*chain[1:], 40], strict=True):
        cells = struct.pack(">IB", below, 1) * 300
        header = struct.pack(">BHHHBI", 5, 0, 300, 4096 - len(cells), 0, below)
        pointers = b"".join(struct.pack(">H", 4096 - 5 * (number + 1)) for number in range(300))
        content[(page - 1) * 4096 : page * 4096] = (header + pointers).ljust(4096 - len(cells), b"\0") + cells
    content[39 * 4096 : 40 * 4096] = leaf
    path.write_bytes(content)


def test_a_table_that_never_ends_is_not_counted_for_ever(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    endless_tree(rolls(Path(tree.data, "bot.db")))
    monkeypatch.setattr(databases, "DATABASE_TIMEOUT", 0.5)
    watch = threading.Timer(20, os._exit, [9])
    watch.start()
    try:
        assert backed_up(tree) == {"rolls": None}
    finally:
        watch.cancel()


def test_tables_without_number_and_with_endless_names_are_bounded(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    with sqlite3.connect(path) as database:
        database.execute("BEGIN")
        for number in range(1500):
            database.execute(f'CREATE TABLE "t{number:04}"(id)')
        database.execute(f'CREATE TABLE "{"n" * 100_000}"(id)')
    database.close()
    assert sum(map(len, backed_up(tree))) < 100_000


def test_virtual_tables_are_left_alone(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
    database.close()
    assert "words" not in backed_up(tree)


def test_rows_after_a_deployment_are_counted_in_a_copy_too(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"), journal_mode="wal")
    run = run_for(tree, "bot.db")
    backup(run)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM rolls WHERE id > 1")
    database.close()
    before = sorted(file.name for file in Path(tree.data).iterdir())
    counts, lost, uncounted = compare_rows(run)
    assert (counts, uncounted) == ({"bot.db": {"rolls": [3, 1]}}, [])
    assert [(item["table"], item["before"], item["after"]) for item in lost] == [("rolls", 3, 1)]
    assert sorted(file.name for file in Path(tree.data).iterdir()) == before
    assert not [name for name in leftovers(tree) if name.startswith(".")]


@pytest.mark.parametrize("where", ["os.mkdir", "engine.host.agent.live_database.copy_bytes"])
def test_no_room_to_count_rows_is_said_and_takes_no_release_back(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    rolls(Path(tree.data, "bot.db"))
    run = run_for(tree, "bot.db")
    backup(run)

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("engine.host.agent.live_database.MARGIN", 1 << 60)
        assert compare_rows(run) == ({}, [], ["bot.db"])
    monkeypatch.setattr(where, full)
    assert compare_rows(run) == ({}, [], ["bot.db"])
    assert not list(Path(tree.backups).rglob(".rows*"))


def test_a_database_that_cannot_be_read_any_more_is_no_full_disk(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    run = run_for(tree, "bot.db")
    backup(run)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StepFailed, match="cannot be counted"):
        compare_rows(run)


def test_the_live_file_is_never_given_to_sqlite(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    rolls(Path(tree.data, "bot.db"))
    opened: list[str] = []
    real = sqlite3.connect

    def connect(path: str, **how: bool) -> sqlite3.Connection:
        opened.append(path)
        return real(path, uri=how.get("uri", False))

    monkeypatch.setattr(sqlite3, "connect", connect)
    run = run_for(tree, "bot.db")
    backup(run)
    compare_rows(run)
    assert opened
    assert not [path for path in opened if tree.data in path]


def test_a_check_that_asks_for_the_data_gets_copies(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"))
    Path(tree.data, "other").symlink_to(tree.secrets)
    run = run_for(tree, "bot.db")
    run.directory = run.config_directory = tree.root
    said: list[str] = []
    run.recorder = SimpleNamespace(log=lambda step, line, stream="": said.append(line))  # type: ignore[assignment]  # a stand-in
    run.tools = Tools("d1", tree.root)
    look = "import os, sys; print(sorted(os.listdir(sys.argv[1]))); open(sys.argv[1] + '/bot.db', 'w').close()"
    before = path.read_bytes()
    run_check(run, {**run.plan["roles"][0], "check": [sys.executable, "-c", look, "{data}"]})
    assert said == ["['bot.db']"]
    assert path.read_bytes() == before
    assert leftovers(tree) == []


def test_memory_stays_small_for_a_large_database(tree: Tree) -> None:
    path = rolls(Path(tree.data, "bot.db"), journal_mode="wal")
    with sqlite3.connect(path) as database:
        database.executemany("INSERT INTO rolls(text) VALUES (?)", [("x" * 100_000,)] * 1000)
    database.close()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert backed_up(tree)["rolls"] == 1003
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
