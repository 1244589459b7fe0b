"""Whether what lies and runs here is a release, and what an inspection tells of releases, units and secrets."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent import inspection
from engine.host.agent.fake_machine import Machine
from engine.host.agent.files import canonical, sha256_file
from engine.host.agent.inspection import inspect_units
from engine.host.agent.limits import Record, Row
from engine.host.agent.tree import Tree
from engine.remote.plan import config_digest
from tests.engine.host.runs import NEW, OLD, UNIT, ask, plan, put_live, role, run

CONTENT = b"print('tea')\n"
ROWS: list[Row] = [("tea.py", 0o444, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))]


@pytest.fixture
def file(tree: Tree, machine: Machine) -> Path:
    """The one file of the release that is live."""
    put_live(tree)
    file = Path(tree.release(OLD), "tea.py")
    file.write_bytes(CONTENT)
    file.chmod(0o444)
    Path(tree.manifest_path(OLD)).write_bytes(canonical(ROWS))
    return file


def damage(file: Path, how: str) -> None:
    if how == "missing":
        file.unlink()
    elif how == "content":
        file.chmod(0o644)
        file.write_bytes(CONTENT.upper())
        file.chmod(0o444)
    elif how == "mode":
        file.chmod(0o755)
    else:
        file.with_name("more.py").write_bytes(b"")


DAMAGE = ["missing", "content", "mode", "extra"]


def verify(tree: Tree, **changes: Any) -> Record:
    usual = {"roles": [role()], "release": OLD, "version": "1.0", "require_connected": "no"}
    return ask(tree, "verify", **{**usual, **changes})


def test_what_runs_whole_is_verified_and_what_was_looked_at_is_said(tree: Tree, file: Path) -> None:
    result = verify(tree)
    assert (result["status"], result["reason"]) == ("succeeded", "verified"), result
    assert result["sentence"].startswith(f"{OLD} runs; looked at: ")
    assert UNIT in result["sentence"]


def test_another_release_is_not_what_was_asked_for(tree: Tree, file: Path) -> None:
    result = verify(tree, release=NEW)
    assert (result["status"], result["reason"]) == ("failed", "wrong_release"), result
    assert result["sentence"] == f"The server runs {OLD}, not {NEW}."


@pytest.mark.parametrize("how", DAMAGE)
def test_a_file_that_is_not_as_it_was_built_is_named(tree: Tree, file: Path, how: str) -> None:
    damage(file, how)
    for result in (verify(tree), ask(tree, "matches", release=OLD, manifest=ROWS)):
        assert (result["status"], result["reason"]) == ("failed", "files_wrong"), result
        assert len(result["facts"]["problems"]) == 1
        assert ("more.py" if how == "extra" else "tea.py") in result["sentence"]


def test_a_release_whose_manifest_is_gone_is_not_called_whole(tree: Tree, file: Path) -> None:
    Path(tree.manifest_path(OLD)).unlink()
    assert verify(tree)["reason"] == "files_wrong"


@pytest.mark.parametrize("shown", [{"ActiveState": "failed", "SubState": "failed"}, {"NeedDaemonReload": "yes"}])
def test_a_unit_that_does_not_run_as_it_would_later_is_no_success(
    tree: Tree, machine: Machine, file: Path, shown: dict[str, str]
) -> None:
    machine.unit(UNIT, **shown)
    assert verify(tree)["status"] == "failed"


def test_a_release_is_compared_with_what_the_portal_knows_of_it(tree: Tree, file: Path) -> None:
    assert ask(tree, "matches", release=OLD, manifest=ROWS)["reason"] == "whole"
    assert ask(tree, "matches", release=NEW, manifest=ROWS)["reason"] == "release_missing"


def test_an_inspection_tells_what_is_true(tree: Tree, machine: Machine, file: Path) -> None:
    Path(tree.secrets, "password").write_bytes(b"hunter2")
    Path(tree.secret_versions).write_text('{"gone":1,"password":2}')
    run(tree, plan(tree))
    asked = {"roles": [], "hash": [OLD, NEW, "3.0-c"], "nonce": "n"}
    facts = ask(tree, "inspect", **asked)["facts"]
    assert (facts["current"], facts["fence"], facts["fence_deployment"]) == (NEW, 3, "7")
    assert facts["config"] == config_digest({"bot.json": b"{}"})
    assert facts["config_whole"] is True
    assert facts["lock"]["held"] is False
    ran = {"deployment": "7", "fence": 3, "release": NEW, "status": "succeeded", "verified": True}
    assert ran.items() <= facts["run"].items()
    assert [(unit["unit"], unit["active"], unit["problem"]) for unit in facts["units"]] == [(UNIT, "active", "")]
    assert facts["hash"] == {OLD: [], NEW: [], "3.0-c": [["", "missing"]]}
    proof = hmac.new(b"n", b"hunter2", hashlib.sha256).hexdigest()
    assert facts["secret_proofs"] == {"password": {"proof": proof, "mode": "0644"}}
    assert "hunter2" not in str(facts)
    damage(file, "content")
    Path(tree.config, facts["config"], "bot.json").unlink()
    facts = ask(tree, "inspect", **asked)["facts"]
    assert facts["hash"][OLD] == [["tea.py", "content"]]
    assert facts["config_whole"] is False


def test_a_server_on_which_nothing_ran_has_nothing_to_tell(tree: Tree, machine: Machine) -> None:
    facts = ask(tree, "inspect", roles=[], hash=[])["facts"]
    assert (facts["current"], facts["run"], facts["releases"], facts["units"]) == (None, None, [], [])
    assert "secret_proofs" not in facts


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        ({"Type": "oneshot", "ActiveState": "activating", "SubState": "start"}, ""),
        ({"Type": "oneshot", "ActiveState": "deactivating", "SubState": "stop-post"}, ""),
        ({"Type": "oneshot", "ActiveState": "activating", "SubState": "auto-restart"}, f"{UNIT} is activating"),
        ({"Type": "notify", "ActiveState": "activating", "SubState": "start"}, f"{UNIT} is activating (start)"),
    ],
)
def test_only_a_job_that_does_its_work_just_now_is_no_difference(
    tree: Tree, machine: Machine, shown: dict[str, str], problem: str
) -> None:
    machine.unit(UNIT, **shown)
    [found] = inspect_units(tree, [UNIT])
    assert found["problem"].startswith(problem)
    assert bool(found["problem"]) == bool(problem)


def test_of_each_unit_everything_is_told_that_systemd_says_of_it(
    tree: Tree, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = tmp_path / UNIT, "web.service"
    own.write_bytes(b"[Service]\n")
    monkeypatch.setattr(
        inspection, "sha256_file", lambda path: sha256_file(path.replace("/etc/systemd/system", str(tmp_path)))
    )
    told = {"NRestarts": "4", "MainPID": "77", "UnitFileState": "enabled", "NeedDaemonReload": "yes"}
    machine.unit(UNIT, **told, DropInPaths="/etc/a.conf /run/b.conf")
    machine.unit(other, ActiveState="failed", SubState="failed", Result="exit-code", NRestarts="", MainPID="")
    first, second = inspect_units(tree, [UNIT, other])
    assert first == {
        "unit": UNIT,
        "active": "active",
        "sub": "running",
        "restarts": 4,
        "pid": 77,
        "enabled": "enabled",
        "problem": "",
        "needs_reload": True,
        "sha256": hashlib.sha256(b"[Service]\n").hexdigest(),
        "path": f"/etc/systemd/system/{UNIT}",
        "drop_ins": ["/etc/a.conf", "/run/b.conf"],
    }
    assert second.pop("problem").startswith(f"{other} is failed")
    assert second == {
        "unit": other,
        "active": "failed",
        "sub": "failed",
        "restarts": 0,
        "pid": 0,
        "enabled": None,
        "needs_reload": False,
        "sha256": None,
        "path": f"/etc/systemd/system/{other}",
        "drop_ins": [],
    }
