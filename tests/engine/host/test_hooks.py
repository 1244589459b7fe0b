"""Hooks of a release on a server played from a script: what fails takes back what had begun, data as before."""

import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent.errors import Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.hooks import Hooks
from engine.host.agent.journal import Journal
from engine.host.agent.limits import Record
from engine.host.agent.processes import Tools
from engine.host.agent.recorder import Masker, Recorder
from engine.host.agent.settle import EARLY, LATE, plan_summary
from engine.host.agent.tree import Tree
from engine.host.agent.verbs import verb_recover
from tests.engine.host import stand_in
from tests.engine.host.runs import NEW, OLD, UNIT, frames, plan, put_live, rehearse, request, run, said, stream
from tests.engine.host.runs import role as make_role
from tests.stories.running import wait_for

UP = "create table half (x); insert into tea values (4)"
DOWN = "drop table if exists half; delete from tea where x = 4"
MIGRATE = "import sqlite3, sys, time; d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); {then}"


def sql(statements: str, then: str = "") -> list[str]:
    return ["python3", "-c", MIGRATE.format(then=then or "pass"), "{data}/tea.db", statements]


def hook(moment: str = "after_activate", **changes: Any) -> Record:
    usual: Record = {"moment": moment, "role": "bot", "command": ["true"], "back": [], "deadline": 20.0}
    return {**usual, "account": "deploying", **changes}


def hooked(tree: Tree, *hooks: Record, **changes: Any) -> Record:
    deadlines = {"revert": 5.0, **{each["moment"]: each["deadline"] for each in hooks}}
    return plan(tree, hooks=list(hooks), deadlines=deadlines, **changes)


def database(tree: Tree) -> sqlite3.Connection:
    return sqlite3.connect(Path(tree.data, "tea.db"))


def contents(tree: Tree) -> str:
    return "\n".join(database(tree).iterdump())


@pytest.fixture(autouse=True)
def before(tree: Tree, machine: Machine) -> str:
    """The old release is live, and has written something."""
    put_live(tree)
    with database(tree) as tea:
        tea.executescript("create table tea (x); insert into tea values (1), (2), (3)")
    return contents(tree)


def steps(tree: Tree) -> list[str]:
    return [r["step"] for r in said(tree) if r["kind"] == "step" and r["state"] == "begin"]


def test_hooks_run_at_their_moments_with_the_release_and_its_data(tree: Tree) -> None:
    script = "echo $RELEASE_ID in $PWD; readlink ../../current; cat {config}/bot.json; ls {data}"
    moments = ("before_activate", "after_activate", "after_success")
    result = run(tree, hooked(tree, *(hook(moment, command=["sh", "-c", script]) for moment in moments)))
    assert result["status"] == "succeeded", result
    expected = [*("preflight", "stage", "dependencies", "backup", "before_activate"), "activate", "after_activate"]
    assert steps(tree) == [*expected, "restart", "verify", "after_success", "prune"]
    heard = {m: [r["text"] for r in said(tree) if r["kind"] == "log" and r["step"] == m] for m in moments}
    place = f"{NEW} in {tree.release(NEW)}"
    assert heard["before_activate"] == [place, f"releases/{OLD}", "{}tea.db"]
    assert heard["after_activate"] == heard["after_success"] == [place, f"releases/{NEW}", "{}tea.db"]


@pytest.mark.parametrize("hangs", [False, True])
@pytest.mark.parametrize("moment", ["before_activate", "after_activate"])
def test_a_half_made_schema_is_taken_back(tree: Tree, machine: Machine, before: str, moment: str, hangs: bool) -> None:
    then = "print('half', flush=True); time.sleep(600)" if hangs else "sys.exit(3)"
    deadline = 2.0 if hangs else 20.0
    wanted = hook(moment, command=sql(UP, then), back=sql(DOWN), deadline=deadline)
    result = run(tree, hooked(tree, wanted))
    assert (result["status"], contents(tree)) == ("reverted", before), result
    assert result["reason"] in ("hook_failed", "deadline")
    assert tree.current_release() == OLD
    assert machine.asked == [], "nothing had been restarted"
    assert ("did not end within 2 s" if hangs else f"The hook {moment} (python3) ended with 3") in result["sentence"]
    assert result["facts"]["went_back"] == [moment]
    assert tree.release_names() == [OLD]


def test_a_release_that_does_not_work_is_taken_back_with_its_migration(
    tree: Tree, machine: Machine, before: str
) -> None:
    machine.next_starts(UNIT, "failed", "active")
    result = run(tree, hooked(tree, hook(command=sql(UP), back=sql(DOWN))))
    assert (result["status"], result["reason"], contents(tree)) == ("reverted", "unit_not_active", before), result
    assert machine.asked.index(f"--no-block stop {UNIT}") > machine.asked.index(f"--no-block restart {UNIT}")


def test_without_a_way_back_it_is_said_that_what_was_done_stays(tree: Tree, before: str) -> None:
    result = run(tree, hooked(tree, hook(command=sql(UP, "sys.exit(1)"))))
    assert result["status"] == "reverted"
    assert "What after_activate did stays: it names no way back." in result["sentence"]
    assert contents(tree) != before


def test_before_activate_without_a_way_back_claims_no_more_than_that_nothing_was_switched(tree: Tree) -> None:
    result = run(tree, hooked(tree, hook("before_activate", command=["false"])))
    assert (result["status"], tree.current_release()) == ("failed", OLD)
    assert "Nothing on this server was switched." in result["sentence"]
    assert "changed" not in result["sentence"]


def test_a_way_back_that_fails_needs_a_person_and_the_links_are_back_all_the_same(tree: Tree) -> None:
    result = run(tree, hooked(tree, hook(command=["false"], back=["sh", "-c", "echo not today; exit 9"])))
    assert (result["status"], tree.current_release()) == ("interrupted", OLD), result
    assert "The way back of after_activate failed: The hook after_activate (sh) ended with 9" in result["sentence"]
    assert "restore_data" in result["sentence"]
    assert [r["text"] for r in said(tree) if r["kind"] == "log" and r["step"] == "back"] == ["not today"]


SILENT = ["sh", "-c", "exec >/dev/null 2>&1; sleep 600"]
"""It closes what we read, and goes on."""


def test_a_way_back_that_hides_its_output_ends_at_its_deadline_and_what_ran_runs(tree: Tree, machine: Machine) -> None:
    machine.next_starts(UNIT, "failed", "active")
    result = run(tree, hooked(tree, hook(back=SILENT, deadline=1.5)))
    assert (result["status"], tree.current_release()) == ("interrupted", OLD), result
    assert machine.unit(UNIT)["ActiveState"] == "active"
    assert "failed: The hook after_activate (sh) did not end within 1.5 s and was ended." in result["sentence"]


@pytest.mark.parametrize("code", [0, 3])
def test_a_hook_that_hides_its_output_is_waited_for(tree: Tree, code: int) -> None:
    result = run(tree, hooked(tree, hook(command=["sh", "-c", f"exec >/dev/null 2>&1; sleep 1; exit {code}"])))
    assert result["status"] == ("reverted" if code else "succeeded"), result
    assert not code or "The hook after_activate (sh) ended with 3." in result["sentence"]


def test_a_hook_that_hides_its_output_ends_at_its_deadline(tree: Tree) -> None:
    result = run(tree, hooked(tree, hook(command=SILENT, deadline=1.5)))
    assert (result["status"], tree.current_release()) == ("reverted", OLD), result
    assert "did not end within 1.5 s" in result["sentence"]
    assert "unforeseen" not in result["sentence"]


@pytest.mark.parametrize("place", ["Hooks.run", "WayBack._stop_services"])
@pytest.mark.parametrize("error", [RuntimeError("of a kind nobody foresaw"), Refused("no", "of a kind nobody foresaw")])
def test_whatever_a_way_back_meets_links_and_units_are_put_back(
    tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception
) -> None:
    def breaks(*_: object) -> None:
        raise error

    cut_off(tree)
    Recorder(Journal(tree), lambda record: None, Masker(tree), {"deployment": "7", "fence": 3, "seq": 9}).begin(
        "restart"
    )
    module = "hooks" if place.startswith("Hooks") else "hook_undo"
    monkeypatch.setattr(f"engine.host.agent.{module}.{place}", breaks)
    result = recover(tree)
    assert (result["status"], tree.current_release()) == ("interrupted", OLD), result
    assert f"--no-block restart {UNIT}" in machine.asked
    assert f"The server is back on {OLD}." in result["sentence"]
    assert "of a kind nobody foresaw" in result["sentence"]


@pytest.mark.parametrize("command", [["false"], ["sleep", "600"], ["no-such-program"]])
def test_what_fails_after_success_is_said_and_takes_nothing_back(tree: Tree, command: list[str]) -> None:
    result = run(tree, hooked(tree, hook("after_success", command=command, deadline=1.5)))
    assert (result["status"], tree.current_release()) == ("succeeded", NEW), result
    assert "after_success" in result["sentence"]
    assert "The release stays." in result["sentence"]


def test_what_failed_after_success_is_said_too_where_the_agent_died_afterwards(tree: Tree) -> None:
    rehearse(tree, "prune", "kill -KILL $PPID; sleep 5")
    result = run(tree, hooked(tree, hook("after_success", command=["sh", "-c", "exit 7"], deadline=5)))
    assert (result["status"], tree.current_release()) == ("succeeded", NEW), result
    assert "ended with 7" in result["sentence"]
    assert result["sentence"].endswith("The release stays.")


def test_nothing_of_a_hook_that_hangs_is_left(tree: Tree) -> None:
    mark = Path(tree.root, "pid")
    script = f"setsid sleep 600 & echo $! > {mark}; sleep 600"
    run(tree, hooked(tree, hook(command=["sh", "-c", script], deadline=1.5)))
    assert (
        not Path(f"/proc/{mark.read_text().strip()}/cmdline").exists()
        or not Path(f"/proc/{mark.read_text().strip()}/cmdline").read_bytes()
    )


def cut_off(tree: Tree, **how: Any) -> None:
    """A journal whose run was cut off in its hook."""
    state = {"deployment": "7", "fence": 3, "seq": 0}
    recorder = Recorder(Journal(tree), lambda record: None, Masker(tree), state)
    recorder.record("run", {"plan": plan_summary(hooked(tree, hook(command=sql(UP), back=sql(DOWN), **how)))})
    recorder.record("before", {**BEFORE, "config": tree.config_link(OLD)})
    recorder.begin("activate")
    Path(tree.release(NEW)).mkdir()
    Path(tree.release(NEW), ".config").symlink_to("../../shared/config/before")
    Path(tree.current).unlink()
    Path(tree.current).symlink_to(f"releases/{NEW}")
    recorder.begin("after_activate")
    with database(tree) as tea:
        tea.executescript(UP)


BEFORE: Record = {
    "current": OLD,
    "units": {UNIT: {"active": "active"}},
    "units_of": None,
    "health": {},
    "had_release": False,
    "had_config": True,
}


def recover(tree: Tree, **how: int) -> Record:
    line = stream(tree)
    try:
        return verb_recover(tree, frames(request({"protocol": 1})), line, **how)
    finally:
        os.close(line.fd)


def test_after_a_power_cut_the_boot_leaves_the_way_back_to_what_services_wait_for(
    tree: Tree, machine: Machine, before: str
) -> None:
    cut_off(tree)
    early = recover(tree, boot=EARLY)
    assert (early["reason"], Path(tree.unsettled).exists(), tree.current_release()) == ("way_back_waits", True, NEW)
    late = recover(tree, boot=LATE)
    assert (late["status"], late["reason"], contents(tree)) == ("reverted", "agent_died", before), late
    assert (Path(tree.unsettled).exists(), tree.current_release()) == (False, OLD)
    assert machine.asked == [f"--no-block restart {UNIT}"], "queued, and not waited for"
    assert recover(tree)["status"] == "reverted"


def test_a_way_back_that_was_gone_is_not_gone_again(tree: Tree, machine: Machine, before: str) -> None:
    cut_off(tree)
    assert recover(tree)["facts"]["went_back"] == ["after_activate"]
    state = Journal(tree).last_run()
    assert state is not None
    assert state.went_back == ["after_activate"]
    assert contents(tree) == before


def test_a_killed_agent_of_a_running_hook_is_settled_by_the_next_who_asks(tree: Tree, before: str) -> None:
    ready = Path(tree.root, "ready")
    wanted = hooked(tree, hook(command=sql(UP, f"open({str(ready)!r}, 'w'); time.sleep(600)"), back=sql(DOWN)))
    child = os.fork()
    if child == 0:
        os.setsid()
        run(tree, wanted)
        os._exit(0)
    wait_for(ready.exists, "the hook")
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    result = recover(tree)
    assert (result["status"], result["reason"], contents(tree)) == ("reverted", "agent_died", before), result


@pytest.mark.parametrize(("role", "unit"), [("bot", UNIT), ("portal", ""), ("monitoring", "")])
def test_a_hook_is_given_what_its_service_has_and_nothing_of_the_portals_and_the_watchers(
    role: str, unit: str, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    monkeypatch.setattr("engine.host.agent.one_off.SUDO", ())
    script = f"""head -n 1 > {asked}; echo '{{"result": "success", "code": 0}}' >&2"""
    monkeypatch.setattr("engine.host.agent.one_off.run_command", lambda name: ["sh", "-c", script])
    monkeypatch.setattr("engine.host.agent.hooks.taken", lambda tree: {"units": {UNIT: ""}})
    wanted = hooked(tree, hook(account="application", role=role), roles=[make_role(role=role)])
    Hooks(tree, Tools("hook", tree.root), wanted)._begin(wanted["hooks"][0], ["true"], 5.0).told()
    request = json.loads(asked.read_text())
    assert (request["role"], request["unit"], request["argv"][-1]) == (role, unit, "true")


def test_root_is_asked_to_end_what_a_killed_agent_left_and_its_refusal_is_told(
    tree: Tree, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(tree, account="application")
    monkeypatch.setattr("engine.host.agent.one_off.SUDO", ())
    monkeypatch.setattr("engine.host.agent.one_off.run_command", lambda name: ["sh", "-c", "echo no such thing >&2"])
    result = recover(tree)
    assert (result["status"], tree.current_release()) == ("interrupted", OLD), result
    assert "Something of a hook may still run: It was not run: no such thing" in result["sentence"]


def test_an_application_s_hook_is_taken_back_by_root_s_program(
    tree: Tree, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(tree, account="application")
    monkeypatch.setattr("engine.host.agent.one_off.SUDO", ())
    monkeypatch.setattr("engine.host.agent.one_off.run_command", lambda name: [sys.executable, stand_in.__file__])
    result = recover(tree)
    assert (result["status"], contents(tree)) == ("reverted", before), result
