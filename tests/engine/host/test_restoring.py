"""A restore that goes wrong leaves every database as it was, with what SQLite keeps beside it."""

import functools
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent import data as restoring
from engine.host.agent.data import ASIDE, Restoration
from engine.host.agent.files import sha256_file
from engine.host.agent.tree import Tree

ROLES = [{"role": "bot", "databases": ["rolls.db", "words.db"]}]
LATER = 1e12
BACKUP = "20261129T101500Z-41"


def says(path: Path) -> list[str]:
    """What a database holds, with its -wal."""
    rows = sqlite3.connect(path)
    try:
        return [row[0] for row in rows.execute("SELECT said FROM t")]
    finally:
        rows.close()


def written(path: Path, said: str) -> None:
    """A database with one row."""
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE t (said TEXT)")
    made.execute("INSERT INTO t VALUES (?)", [said])
    made.commit()
    made.close()


def killed_with_a_wal(path: Path) -> None:
    """The last commit of an application that was killed is in the -wal alone."""
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("INSERT INTO t VALUES ('in the wal')")
    writer.commit()
    left = {end: Path(f"{path}{end}").read_bytes() for end in ("", "-wal")}
    writer.close()
    for end, content in left.items():
        Path(f"{path}{end}").write_bytes(content)


@pytest.fixture
def work(tree: Tree) -> Restoration:
    """A restore that was rehearsed, of two databases that were written to since."""
    backup = Path(tree.backups, BACKUP)
    backup.mkdir(parents=True)
    for name in ROLES[0]["databases"]:
        written(backup / name, "old")
        (backup / f"{name}.sha256").write_text(f"{sha256_file(str(backup / name))}  {name}\n")
        written(Path(tree.data, name), "new")
        killed_with_a_wal(Path(tree.data, name))
    found = Restoration(tree, ROLES, BACKUP)
    found.rehearse()
    return found


def as_it_was(tree: Tree) -> bool:
    return all(says(Path(tree.data, name)) == ["new", "in the wal"] for name in ROLES[0]["databases"])


def test_what_was_never_begun_with_keeps_its_last_commits(tree: Tree, work: Restoration) -> None:
    work.undo(LATER)  # keeping what is there aside failed: a full disk
    assert as_it_was(tree)


def test_of_two_databases_the_second_fails(tree: Tree, work: Restoration, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = restoring._move

    def fails(directory: int, name: str, other: str) -> None:
        if name == "words.db":
            raise OSError(5, "Input/output error")
        moved(directory, name, other)

    with monkeypatch.context() as during:
        during.setattr(restoring, "_move", fails)
        with pytest.raises(OSError, match="Input"):
            work.swap(LATER)
    work.undo(LATER)
    assert as_it_was(tree)


def test_what_an_earlier_restore_left_behind_comes_back_never(tree: Tree, work: Restoration) -> None:
    Path(tree.data, f"rolls.db{ASIDE}").write_bytes(b"of a restore that was cut off")
    work.undo(LATER)
    assert as_it_was(tree)


def test_a_restore_that_is_taken_back_and_one_that_stays(tree: Tree, work: Restoration) -> None:
    Path(tree.data, f"rolls.db-journal{ASIDE}").write_bytes(b"of a restore that was cut off")
    work.swap(LATER)
    assert says(Path(tree.data, "rolls.db")) == ["old"]
    work.undo(LATER)
    assert not Path(tree.data, "rolls.db-journal").exists()
    assert as_it_was(tree)
    work.rehearse()
    work.swap(LATER)
    work.forget()
    assert says(Path(tree.data, "rolls.db")) == ["old"]
    assert sorted(path.name for path in Path(tree.data).iterdir()) == ["rolls.db", "words.db"]


def test_a_database_that_was_not_there_is_not_there_again(tree: Tree, work: Restoration) -> None:
    for path in Path(tree.data).glob("words.db*"):
        path.unlink()
    work.swap(LATER)
    work.undo(LATER)
    assert not Path(tree.data, "words.db").exists()


class Cut(BaseException):
    """The power."""


class Power:
    """It is cut after so many changes of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 10_000
        for name in ("rename", "unlink", "fsync"):
            monkeypatch.setattr(os, name, functools.partial(self._change, getattr(os, name)))

    def _change(self, real: Callable[..., None], *args: Any, **more: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cut
        real(*args, **more)

    def lasts_for(self, changes: int, work: Callable[[], object]) -> bool:
        """Do it until the cut; whether it came to its end."""
        self.left = changes
        try:
            work()
        except Cut:
            return False
        finally:
            self.left = 10_000
        return True


@pytest.mark.parametrize("stays", [False, True], ids=["not proven yet", "proven"])
def test_wherever_the_power_is_cut_the_databases_are_whole_after_the_boot(
    tree: Tree, work: Restoration, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    """Each change of a file is the last before the cut, in turn, and so is each of what the boot then does."""
    power, cuts, ended = Power(monkeypatch), 0, False

    def restore() -> None:
        work.swap(LATER)
        if stays:
            work.forget()

    while not ended:
        ended = power.lasts_for(cuts, restore)
        boots = 0
        while not power.lasts_for(boots, lambda: restoring.settle_restore(tree)):
            boots += 1
        said = {tuple(says(Path(tree.data, name))) for name in ROLES[0]["databases"]}
        assert said == {("old",)} if ended and stays else len(said) == 1, cuts
        assert said == {("new", "in the wal")} or stays, cuts
        assert list(Path(tree.data).glob(f"*{ASIDE}")) == []
        cuts += 1
        for name in ROLES[0]["databases"]:
            for path in Path(tree.data).glob(f"{name}*"):
                path.unlink()
            written(Path(tree.data, name), "new")
            killed_with_a_wal(Path(tree.data, name))
        work.rehearse()
    assert cuts > 10
