"""Databases behind commands: dumped before an activation, listed, proven and restored; what says no changes nothing."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.data import Restoration, list_backups, verb_data
from engine.host.agent.errors import Refused, StepFailed
from engine.host.agent.fake_machine import Machine
from engine.host.agent.limits import Record
from engine.host.agent.steps.prune import outdated
from engine.host.agent.systemd import Systemd
from engine.host.agent.tree import Tree
from engine.host.agent.unit_operations import verb_operate
from tests.engine.host import stand_in
from tests.engine.host.runs import OLD, UNIT, frames, plan, put_live, request, role, run, stream

LATER = 1e12


@pytest.fixture(autouse=True)
def live(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The old release is live; its database is a file that only commands touch."""
    put_live(tree)
    monkeypatch.setattr("engine.host.agent.one_off.SUDO", ())
    monkeypatch.setattr("engine.host.agent.one_off.run_command", lambda name: [sys.executable, stand_in.__file__])
    database = Path(tree.root, "database")
    database.write_bytes(bytes(range(256)) * 1000)
    return database


def roles(tree: Tree, **changes: Any) -> list[Record]:
    place = f"{tree.root}/database"
    usual = {
        "name": "main",
        "dump": ["cat", place],
        "restore": ["sh", "-c", f"cat > {place}.new && mv {place}.new {place}"],
    }
    return [role(dumps=[{**usual, **changes}])]


def test_a_dump_is_made_before_the_activation_listed_proven_and_brought_back(tree: Tree, live: Path) -> None:
    written = live.read_bytes()
    result = run(tree, plan(tree, roles=roles(tree)))
    assert result["status"] == "succeeded", result
    told = result["facts"]["backup"]["databases"]["main"]
    assert told["bytes"] == len(written)
    [backup] = list_backups(tree, roles(tree))
    assert backup["databases"] == [{"database": "main", "bytes": len(written), "whole": True}]
    line = stream(tree)
    asked = request({"protocol": 1, "roles": roles(tree), "check": backup["name"]})
    said = verb_data(tree, frames(asked), line)
    os.close(line.fd)
    assert "as it was written, and not read in" in said["sentence"]

    live.write_bytes(b"something else")
    work = Restoration(tree, roles(tree), backup["name"])
    work.rehearse()
    kept = work.set_aside("restore-1", LATER)
    work.swap(LATER)
    assert live.read_bytes() == written
    work.undo(LATER)
    assert live.read_bytes() == b"something else"
    assert Path(tree.backups, kept, "bot-main.dump").read_bytes() == b"something else"


def test_what_a_dump_says_beside_its_data_is_told_and_no_part_of_it(tree: Tree, live: Path) -> None:
    noisy = ["sh", "-c", f"echo careful >&2; cat {live}; yes | head -c 200000 >&2"]
    assert run(tree, plan(tree, roles=roles(tree, dump=noisy)))["status"] == "succeeded"
    [dump] = Path(tree.backups).glob("*/bot-main.dump")
    assert dump.read_bytes() == live.read_bytes()


def test_a_dump_that_fails_ends_the_deployment_before_anything_is_switched(tree: Tree) -> None:
    result = run(tree, plan(tree, roles=roles(tree, dump=["sh", "-c", "printf half; exit 3"])))
    assert (result["status"], result["reason"], tree.current_release()) == ("failed", "dump_failed", OLD), result
    assert "sh of the database main ended with 3" in result["sentence"]
    assert list(Path(tree.backups).glob("[0-9]*")) == [], "half a dump is no backup"


def test_a_dump_for_which_there_is_no_room_ends_the_deployment(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.host.agent.dumps.MARGIN", 1 << 60)
    result = run(tree, plan(tree, roles=roles(tree)))
    assert (result["status"], result["reason"], tree.current_release()) == ("failed", "disk_full", OLD), result
    assert result["sentence"].startswith("There is no room on this server for a dump of main.")
    assert list(Path(tree.backups).glob("[0-9]*")) == []


def test_what_was_changed_since_is_not_restored(tree: Tree, live: Path) -> None:
    run(tree, plan(tree, roles=roles(tree)))
    [dump] = Path(tree.backups).glob("*/bot-main.dump")
    dump.chmod(0o600)
    dump.write_bytes(b"another")
    [backup] = list_backups(tree, roles(tree))
    assert backup["databases"][0]["whole"] is False
    with pytest.raises(StepFailed, match="not what was written"):
        Restoration(tree, roles(tree), backup["name"]).rehearse()


def test_before_the_first_release_there_is_nothing_to_dump(tree: Tree) -> None:
    Path(tree.current).unlink()
    assert run(tree, plan(tree, roles=roles(tree, dump=["false"])))["status"] == "succeeded"


def ready(tree: Tree, **changes: Any) -> tuple[list[Record], str]:
    """Roles whose database was dumped and written to since; the backup's name."""
    run(tree, plan(tree, release=OLD, roles=roles(tree), deployment="5", fence=2))
    [backup] = list_backups(tree, roles(tree))
    Path(tree.root, "database").write_bytes(b"of today")
    return roles(tree, **changes), backup["name"]


def operate(tree: Tree, wanted: list[Record], action: str = "restore", **more: Any) -> Record:
    asked = {"protocol": 1, "action": action, "release": OLD, "version": "2.0", "roles": wanted, "units": [], **more}
    line = stream(tree)
    try:
        return verb_operate(tree, frames(request(asked)), line)
    finally:
        os.close(line.fd)


def test_a_restore_command_that_fails_both_ways_leaves_the_services_running_and_says_where_the_data_is(
    tree: Tree, live: Path, machine: Machine
) -> None:
    broken, backup = ready(tree, restore=["sh", "-c", "exit 4"])
    result = operate(tree, broken, backup=backup, mark="restore-9")
    assert (result["status"], result["reason"]) == ("failed", "dump_failed"), result
    [kept] = [each["name"] for each in list_backups(tree, broken) if each["name"].endswith("restore-9")]
    assert f"What was there before is not back, but in the backup {kept}" in result["sentence"]
    assert "sh of the database main ended with 4" in result["sentence"]
    assert f"Running: {UNIT}." in result["sentence"]
    assert machine.unit(UNIT)["ActiveState"] == "active"
    assert (result["facts"]["running"], result["facts"]["stopped"]) == ([UNIT], [])
    assert operate(tree, broken, "restart")["status"] == "succeeded", "whoever asked has been told"


def test_what_does_not_start_again_after_a_restore_is_told(tree: Tree, live: Path, machine: Machine) -> None:
    wanted, backup = ready(tree)
    machine.next_starts(UNIT, "failed", "failed")
    result = operate(tree, wanted, backup=backup, mark="restore-9")
    assert result["status"] == "failed", result
    assert live.read_bytes() == b"of today"
    assert "What was there before is there again" in result["sentence"]
    assert f"Not running: {UNIT}" in result["sentence"]


def test_a_stop_that_fails_in_the_middle_starts_what_it_had_stopped(
    tree: Tree, live: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, backup = ready(tree)
    stop = Systemd.stop

    def fails(systemd: Systemd, unit: str) -> None:
        stop(systemd, unit)
        raise StepFailed("systemctl_failed", "systemctl does not answer.")

    monkeypatch.setattr(Systemd, "stop", fails)
    result = operate(tree, wanted, backup=backup, mark="restore-9")
    assert (result["status"], live.read_bytes()) == ("failed", b"of today")
    assert result["sentence"] == f"systemctl does not answer. Nothing was replaced. Running: {UNIT}."
    assert machine.unit(UNIT)["ActiveState"] == "active"


def cut_off(tree: Tree, wanted: list[Record], backup: str) -> str:
    """The power is cut while a command reads a database in; the backup that holds what was there."""

    class Cut(BaseException):
        pass

    def cut(*_: object) -> None:
        Path(tree.root, "database").write_bytes(b"half")
        raise Cut

    work = Restoration(tree, wanted, backup)
    work.rehearse()
    kept = work.set_aside("restore-9", LATER)
    with pytest.MonkeyPatch.context() as during:
        during.setattr(work._dumper, "restore", cut)
        with pytest.raises(Cut):
            work.swap(LATER)
    return kept


def test_after_a_power_cut_in_a_restore_nothing_goes_on_until_the_kept_backup_is_back(
    tree: Tree, live: Path, machine: Machine
) -> None:
    wanted, backup = ready(tree)
    kept = cut_off(tree, wanted, backup)
    for action in ("deploy", "start", "restart"):
        with pytest.raises(Refused, match=f"bot-main.dump.*restore_data SERVER {kept}") as refused:
            run(tree, plan(tree, roles=wanted)) if action == "deploy" else operate(tree, wanted, action)
        assert refused.value.reason == "restore_unfinished"
    assert operate(tree, wanted, "stop")["status"] == "succeeded"
    result = operate(tree, wanted, backup=kept, mark="restore-10")
    assert (result["status"], live.read_bytes()) == ("succeeded", b"of today"), result
    assert operate(tree, wanted, "restart")["status"] == "succeeded"


def test_a_database_too_broken_to_be_dumped_is_restored_from_what_was_kept_before_the_cut(
    tree: Tree, live: Path
) -> None:
    wanted, backup = ready(tree)
    kept = cut_off(tree, wanted, backup)
    broken = roles(tree, dump=["false"])
    result = operate(tree, broken, backup=backup, mark="restore-10")
    assert result["status"] == "succeeded", result
    assert result["facts"]["kept"] == kept


DAY = 86400
NAMES = ["20260101T000000Z-1", "20260601T000000Z-2", "20260625T000000Z-3", "20260630T000000Z-4"]
NOW = 1782864000.0  # 2026-07-01


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ({}, NAMES[1:]),
        ({"keep_backups": 2}, NAMES[2:]),
        ({"keep_backups": 10, "backup_days": 7}, NAMES[2:]),
        ({"keep_backups": 10, "backup_days": 365}, NAMES),
        ({"keep_backups": 1, "backup_days": 1}, NAMES[3:]),
    ],
)
def test_backups_go_by_number_and_by_age_and_the_newest_stays(told: Record, left: list[str]) -> None:
    gone = outdated(NAMES, {"keep": 1, **told}, NOW)
    assert [name for name in NAMES if name not in gone] == left
    assert NAMES[3] not in outdated(NAMES, {"keep": 1, "backup_days": 1}, NOW + 900 * DAY)
