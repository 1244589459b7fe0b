"""What is known before anything changes: what stands in the way has its own reason, and nothing was touched."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.host.agent.errors import StepFailed
from engine.host.agent.fake_machine import Machine
from engine.host.agent.limits import Record
from engine.host.agent.processes import Tools
from engine.host.agent.steps.preflight import Preflight
from engine.host.agent.systemd import Systemd
from engine.host.agent.tree import Tree
from tests.engine.host.runs import NEW, OLD, UNIT, plan, put_live, role

SHA = "a" * 64


def look(tree: Tree, **changes: Any) -> tuple[Record, Record]:
    """The facts, and what a revert would bring back."""
    tools = Tools("7", tree.root)
    preflight = Preflight(tree, plan(tree, **changes), tools, Systemd(tools))
    return preflight.look(), preflight.before


def test_what_a_revert_has_to_bring_back_is_noted(tree: Tree, machine: Machine) -> None:
    put_live(tree)
    facts, before = look(tree)
    assert facts["current"] == OLD
    assert before["config"] == "../../shared/config/before"
    assert (before["had_release"], before["had_config"]) == (False, False)
    assert before["units"][UNIT]["active"] == "active"
    assert machine.asked == []


Obstacle = Callable[[Tree, Machine, pytest.MonkeyPatch], dict[str, Any]]


def another_environment(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    put_live(tree, NEW)
    Path(tree.release(NEW), ".envs").mkdir()
    Path(tree.release(NEW), ".envs", "bot").symlink_to("../../../envs/" + "b" * 64)
    return {"roles": [role(lock="requirements.txt", env_digest=SHA)]}


def no_inodes(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    full = SimpleNamespace(f_bavail=1 << 40, f_frsize=4096, f_files=100_000, f_favail=999)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    return {}


def no_room(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"need_bytes": 1 << 60}


def no_journal_group(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", list)
    return {}


def silent(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    machine.says_no("show", "Failed to connect to bus")
    return {}


def no_sudo(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    machine.says_no("sudo", "a password is required")
    return {}


def unknown_unit(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    machine.unit(UNIT, LoadState="not-found")
    return {}


def changed_unit(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    machine.unit(UNIT, NeedDaemonReload="yes")
    return {}


def missing_unit_file(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"roles": [role(unit_files={"not-on-this-machine.service": SHA})]}


def missing_secret(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"roles": [role(secrets={"password": 1})]}


def another_secret(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    Path(tree.secrets, "password").write_text("x")
    Path(tree.secret_versions).write_text('{"password": 1}')
    return {"roles": [role(secrets={"password": 2})]}


def another_base(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    put_live(tree)
    return {"expects": "0.9-z"}


def open_tree(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    Path(tree.releases).chmod(0o777)
    return {}


def current_is_a_directory(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    Path(tree.current).mkdir()
    return {}


def clock_behind(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"clock": plan(tree)["clock"] + 400}


def old_python(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"python": "9.9"}


def taken_port(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("engine.host.agent.steps.preflight.probe", lambda health: {"answered": False})
    monkeypatch.setattr("engine.host.agent.sockets.listener", lambda port: (os.getuid() + 1, 0))
    return {"roles": [role(health={"url": "http://127.0.0.1:8001/health", "timeout": 1.0})]}


OBSTACLES: list[tuple[Obstacle, str, str]] = [
    (another_environment, "environment_differs", "build a new release"),
    (no_inodes, "disk_full", "inodes"),
    (no_room, "disk_full", "are needed"),
    (no_journal_group, "journal_unreadable", "group systemd-journal"),
    (silent, "systemd_silent", "Failed to connect to bus"),
    (no_sudo, "no_sudo", f"reset-failed {UNIT}"),
    (unknown_unit, "units_differ", "not-found"),
    (changed_unit, "units_differ", "has not read it"),
    (missing_unit_file, "units_differ", "is missing"),
    (missing_secret, "secret_missing", "is not on this server"),
    (another_secret, "secret_missing", "of another version"),
    (another_base, "base_changed", OLD),
    (open_tree, "not_provisioned", "Everybody may write"),
    (current_is_a_directory, "not_provisioned", "is no link"),
    (clock_behind, "clock_wrong", "behind"),
    (old_python, "python_too_old", "the release needs 9.9"),
    (taken_port, "port_taken", "Port 8001 of the bot is in use"),
]


@pytest.mark.parametrize(("obstacle", "reason", "words"), OBSTACLES, ids=lambda value: getattr(value, "__name__", None))
def test_what_stands_in_the_way_is_said(
    tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch, obstacle: Obstacle, reason: str, words: str
) -> None:
    changes = obstacle(tree, machine, monkeypatch)
    with pytest.raises(StepFailed) as failed:
        look(tree, **changes)
    assert failed.value.reason == reason
    assert words in str(failed.value)
    assert machine.asked == []


def test_a_file_system_that_counts_no_inodes_has_room(
    tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    uncounted = SimpleNamespace(f_bavail=1 << 40, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda path: uncounted)
    look(tree)
