"""The copies of an application's databases: what is listed, and what a rehearsal of their way back finds."""

import sqlite3
from pathlib import Path

import pytest

from engine.host.agent.errors import Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.files import sha256_file
from engine.host.agent.limits import Record
from engine.host.agent.tree import Tree
from tests.engine.host.runs import ask, role

ROLES = [role(databases=["rolls.db"])]
BACKUP, LATER = "20261129T101500Z-41", "20261130T101500Z-42"


def keep(tree: Tree, name: str, rows: int, *, what: str = "rolls.db") -> Path:
    """A backup of one database."""
    directory = Path(tree.backups, name)
    directory.mkdir()
    database = sqlite3.connect(directory / what)
    database.execute("CREATE TABLE rolls (number INTEGER)")
    database.executemany("INSERT INTO rolls VALUES (?)", [(number,) for number in range(rows)])
    database.commit()
    database.close()
    (directory / f"{what}.sha256").write_text(f"{sha256_file(str(directory / what))}  {what}\n")
    return directory / what


def data(tree: Tree, check: str = "") -> Record:
    return ask(tree, "data", roles=ROLES, check=check)


def left(tree: Tree) -> list[str]:
    return sorted(path.name for path in Path(tree.backups).iterdir())


def test_backups_are_listed_the_newest_first_and_by_what_they_hold(tree: Tree, machine: Machine) -> None:
    keep(tree, BACKUP, 3)
    keep(tree, LATER, 4).write_bytes(b"rotten")
    keep(tree, "not-a-backup", 1)
    found = data(tree)["facts"]["backups"]
    assert [backup["name"] for backup in found] == [LATER, BACKUP]
    assert [[(one["database"], one["whole"]) for one in backup["databases"]] for backup in found] == [
        [("rolls.db", False)],
        [("rolls.db", True)],
    ]


def test_a_rehearsal_counts_what_would_come_back_and_leaves_nothing(tree: Tree, machine: Machine) -> None:
    keep(tree, BACKUP, 3)
    result = data(tree, BACKUP)
    assert (result["status"], result["facts"]["rows"]) == ("succeeded", {"rolls.db": {"rolls": 3}}), result
    assert "1 databases, 1 tables, as they were written" in result["sentence"]
    assert left(tree) == [BACKUP]


@pytest.mark.parametrize("damage", ["bytes", "digest", "no digest", "no database"])
def test_a_backup_that_is_not_what_was_written_is_said_to_be_damaged(tree: Tree, machine: Machine, damage: str) -> None:
    copy = keep(tree, BACKUP, 3)
    digest = copy.with_name(f"{copy.name}.sha256")
    if damage == "bytes":
        copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    elif damage == "digest":
        digest.write_text("0" * 64 + "\n")
    elif damage == "no digest":
        digest.unlink()
    else:  # whole, by its digest, and never a database
        copy.write_bytes(b"x" * 5000)
        digest.write_text(f"{sha256_file(str(copy))}  {copy.name}\n")
    result = data(tree, BACKUP)
    assert (result["status"], result["reason"]) == ("failed", "backup_damaged"), result
    assert BACKUP in result["sentence"] or copy.name in result["sentence"]
    assert left(tree) == [BACKUP]


@pytest.mark.parametrize("name", ["20261129T101500Z-40", "../data", "."])
def test_a_backup_that_is_not_there_is_refused(tree: Tree, machine: Machine, name: str) -> None:
    keep(tree, BACKUP, 3)
    with pytest.raises(Refused) as refused:
        data(tree, name)
    assert refused.value.reason == "no_backup"


def test_a_backup_of_something_else_is_of_no_use(tree: Tree, machine: Machine) -> None:
    keep(tree, BACKUP, 3, what="words.db")
    with pytest.raises(Refused, match="none of the databases of what runs"):
        data(tree, BACKUP)


def test_without_room_for_a_copy_nothing_is_begun(
    tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tree, BACKUP, 3)
    monkeypatch.setattr("engine.host.agent.data.MARGIN", 1 << 62)
    assert data(tree, BACKUP)["reason"] == "disk_full"
    assert left(tree) == [BACKUP]
