"""How runs end on a server played from a script: each reason, what is live then, and what systemd was asked for."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.host.agent.fake_machine import Machine
from engine.host.agent.journal import Journal
from engine.host.agent.processes import environment
from engine.host.agent.recorder import Masker, Recorder
from engine.host.agent.settle import plan_summary
from engine.host.agent.tree import Tree
from engine.host.agent.verbs import verb_recover
from tests.engine.host.runs import NEW, OLD, UNIT, frames, plan, put_live, rehearse, request, role, run, said, stream

RESTARTED = [f"reset-failed {UNIT}", f"--no-block restart {UNIT}"]


@pytest.fixture(autouse=True)
def running(tree: Tree, machine: Machine) -> None:
    """The old release is live."""
    put_live(tree)


def assert_untouched(tree: Tree) -> None:
    assert tree.current_release() == OLD
    assert tree.config_link(OLD) == "../../shared/config/before"
    assert tree.release_names() == [OLD]


def recover(tree: Tree, *, boot: bool) -> dict[str, object]:
    line = stream(tree)
    try:
        return verb_recover(tree, frames(request({"protocol": 1})), line, boot)
    finally:
        os.close(line.fd)


def test_what_runs_in_the_end_is_the_new_release(tree: Tree, machine: Machine) -> None:
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("succeeded", "verified"), result
    assert tree.current_release() == NEW
    assert machine.asked == RESTARTED
    kinds = [record["kind"] for record in said(tree) if record["kind"] != "log"]
    assert kinds[:2] == ["run", "step"]
    assert "verified" in kinds
    assert "result" not in kinds  # told by `main`, once the lock is free


def test_a_unit_that_does_not_start_is_put_back(tree: Tree, machine: Machine) -> None:
    machine.next_starts(UNIT, "failed", "active")
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("reverted", "unit_not_active"), result
    assert result["sentence"].endswith(f"The server is back on {OLD}.")
    assert machine.asked == RESTARTED * 2
    assert_untouched(tree)


LOOPING = {"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "3"}


def test_what_crashes_again_and_again_is_none_of_what_its_successor_is_judged_by(tree: Tree, machine: Machine) -> None:
    machine.unit(UNIT, **LOOPING)
    result = run(tree, plan(tree))
    assert result["status"] == "succeeded", result
    assert machine.asked == [f"--no-block stop {UNIT}", *RESTARTED]


def test_a_release_that_crashes_again_and_again_is_put_back(tree: Tree, machine: Machine) -> None:
    machine.next_starts(UNIT, "looping", "active")
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("reverted", "unit_not_active"), result
    assert machine.asked == [*RESTARTED, f"--no-block stop {UNIT}", *RESTARTED]
    assert_untouched(tree)


def test_a_unit_that_starts_neither_way_needs_a_person(tree: Tree, machine: Machine) -> None:
    machine.next_starts(UNIT, "failed", "failed")
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("interrupted", "unit_not_active"), result
    assert "It could not be put back as it was" in result["sentence"]
    assert_untouched(tree)


def test_an_old_process_that_does_not_end_fails_the_restart(tree: Tree, machine: Machine) -> None:
    machine.unit(UNIT, MainPID=str(os.getpid()))
    machine.next_starts(UNIT, "stuck", "active")
    result = run(tree, plan(tree, deadlines={"restart": 4.0, "revert": 0.2}))
    assert result["reason"] == "unit_stuck", result
    assert result["status"] == "interrupted"  # nor does it end for the revert, and that is said
    assert f"{UNIT} does not stop" in result["facts"]["problem"]
    assert_untouched(tree)


def test_a_systemd_that_says_nothing_changes_nothing(tree: Tree, machine: Machine) -> None:
    machine.says_no("show", "Failed to connect to bus")
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("failed", "systemd_silent"), result
    assert "Failed to connect to bus" in result["sentence"]
    assert result["sentence"].endswith("Nothing on this server was changed.")
    assert machine.asked == []
    assert_untouched(tree)


def test_a_journal_that_cannot_be_read_proves_nothing(tree: Tree, machine: Machine) -> None:
    machine.says_no("journal", "No journal files were opened due to insufficient permissions.")
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("reverted", "journal_unreadable"), result
    assert machine.asked == RESTARTED * 2
    assert_untouched(tree)


LATE = "9" * 17


def test_an_error_of_the_new_process_is_held_against_it(tree: Tree, machine: Machine) -> None:
    machine.logs(MESSAGE="token rejected", _SYSTEMD_INVOCATION_ID="another", __REALTIME_TIMESTAMP=LATE)
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("reverted", "error_logged"), result
    assert "token rejected" in result["sentence"]
    assert_untouched(tree)


def test_errors_of_long_ago_and_last_words_are_not(tree: Tree, machine: Machine) -> None:
    machine.logs(MESSAGE="of long ago", __REALTIME_TIMESTAMP="1000000")
    machine.logs(MESSAGE="its last words", _SYSTEMD_INVOCATION_ID="at-first", __REALTIME_TIMESTAMP=LATE)
    assert run(tree, plan(tree))["status"] == "succeeded"


@pytest.mark.parametrize("moment", ["preflight", "stage", "activate", "activate-end", "restart-end", "verify"])
def test_a_worker_that_is_killed_is_settled_by_its_supervisor(tree: Tree, machine: Machine, moment: str) -> None:
    rehearse(tree, moment, "kill -KILL $PPID; sleep 5")
    result = run(tree, plan(tree))
    assert result["reason"] == "agent_died", result
    changed = moment in ("activate-end", "restart-end", "verify")
    assert result["status"] == ("reverted" if changed else "failed")
    assert machine.asked == {"restart-end": RESTARTED * 2, "verify": RESTARTED * 2}.get(moment, [])
    assert_untouched(tree)
    assert not Journal(tree).last_run().unfinished  # type: ignore[union-attr]  # there is one


def test_a_revert_that_breaks_off_is_no_revert(tree: Tree, machine: Machine) -> None:
    machine.unit(UNIT)
    unit = Path(machine.path(UNIT))
    spoil = f"""sed -i 's/"MainPID": "[0-9]*"/"MainPID": "unheard of"/' {unit}; exit 1"""
    rehearse(tree, "verify", spoil)
    result = run(tree, plan(tree))
    assert (result["status"], result["reason"]) == ("interrupted", "revert_failed"), result
    assert result["facts"] == {"cause": "rehearsed"}
    assert Journal(tree).last_run().unfinished  # type: ignore[union-attr]  # so that whoever asks next settles it
    machine.unit(UNIT, MainPID="0")
    again = recover(tree, boot=False)
    assert again["status"] == "reverted", again
    assert not again["facts"]["boot"], again  # type: ignore[index]  # facts are a record
    assert_untouched(tree)


def test_a_boot_puts_links_back_and_leaves_the_units_to_itself(tree: Tree, machine: Machine) -> None:
    rehearse(tree, "verify", "kill -KILL $PPID; sleep 5")
    # as if supervisor and worker had died with the power: what the worker's death led to is taken away again
    journal = Path(tree.journal)
    run(tree, plan(tree))
    lines = journal.read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if '"step":"revert"' in line)
    journal.write_text("".join(lines[:first]))
    Path(tree.release(NEW)).mkdir()
    Path(tree.current).unlink()
    Path(tree.current).symlink_to(f"releases/{NEW}")
    asked = machine.asked
    result = recover(tree, boot=True)
    assert (result["status"], result["reason"]) == ("reverted", "agent_died"), result
    assert f"The server is back on {OLD}, which starts with this boot." in str(result["sentence"])
    assert result["facts"]["boot"], result  # type: ignore[index]  # facts are a record
    assert machine.asked == asked
    assert_untouched(tree)
    later = recover(tree, boot=False)
    assert later["facts"]["since_boot"]["healthy"], later  # type: ignore[index]  # facts are a record
    machine.unit(UNIT, ActiveState="failed")
    later = recover(tree, boot=False)
    assert not later["facts"]["since_boot"]["healthy"], later  # type: ignore[index]  # facts are a record


@pytest.mark.parametrize("of_before", [False, True], ids=["this agent", "an agent of before, which named no tree"])
def test_what_a_dead_agent_left_running_ends_before_the_next_deployment(
    tree: Tree, machine: Machine, of_before: bool
) -> None:
    """Supervisor and worker were killed together; a program of a step goes on, and may still write."""
    line = stream(tree)
    recorder = Recorder(Journal(tree), line.record, Masker(tree), {"deployment": "6", "fence": 2, "seq": 0})
    recorder.record("run", {"plan": plan_summary(plan(tree, deployment="6", fence=2)), "recovered": None})
    recorder.begin("dependencies")
    os.close(line.fd)
    marks = {"DEPLOYMENT_RUN": "6"} if of_before else environment("6", tree.root)
    with (
        subprocess.Popen(["sleep", "60"], env=marks) as left,
        subprocess.Popen(["sleep", "60"], env=environment("6", f"{tree.root}-of-another-portal")) as others,
    ):
        try:
            assert run(tree, plan(tree))["status"] == "succeeded"
            assert left.wait(5) == -signal.SIGKILL
            assert others.poll() is None, "what another portal's deployment 6 started is none of ours"
        finally:
            left.kill()
            others.kill()


def test_a_first_deployment_that_fails_leaves_nothing(tree: Tree, machine: Machine) -> None:
    Path(tree.current).unlink()
    machine.unit(UNIT, ActiveState="inactive", MainPID="0")
    machine.next_starts(UNIT, "failed")
    result = run(tree, plan(tree))
    assert result["status"] == "reverted", result
    assert "Nothing ran here before" in result["sentence"]
    assert machine.asked == [*RESTARTED, f"--no-block stop {UNIT}", f"reset-failed {UNIT}"]
    assert machine.unit(UNIT)["ActiveState"] == "inactive", "stopped, and not left as failed"
    assert tree.current_release() is None


def test_a_database_that_is_none_ends_the_run_before_anything_changes(tree: Tree, machine: Machine) -> None:
    Path(tree.data, "bot.db").write_bytes(b"no database at all" * 100)
    result = run(tree, plan(tree, roles=[role(databases=["bot.db"])]))
    assert (result["status"], result["reason"]) == ("failed", "database_unreadable"), result
    assert result["sentence"].endswith("Nothing on this server was changed.")
    assert list(Path(tree.backups).iterdir()) == []
    assert_untouched(tree)


def test_a_database_that_stays_locked_cannot_be_backed_up(
    tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.host.agent.live_database.DATABASE_TIMEOUT", 0.1)
    database = sqlite3.connect(Path(tree.data, "bot.db"), isolation_level=None)
    database.execute("CREATE TABLE kept (id INTEGER)")
    database.execute("BEGIN EXCLUSIVE")
    result = run(tree, plan(tree, roles=[role(databases=["bot.db"])]))
    database.close()
    assert (result["status"], result["reason"]) == ("failed", "backup_failed"), result
    assert list(Path(tree.backups).iterdir()) == []
    assert_untouched(tree)


def test_a_database_is_copied_before_anything_changes(tree: Tree, machine: Machine) -> None:
    database = sqlite3.connect(Path(tree.data, "bot.db"))
    database.execute("CREATE TABLE kept (id INTEGER)")
    database.execute("INSERT INTO kept VALUES (1), (2)")
    database.commit()
    database.close()
    lose = Path(tree.root, "lose.py")
    lose.write_text(
        f"import sqlite3\ndatabase = sqlite3.connect('{tree.data}/bot.db')\n"
        "database.execute('DELETE FROM kept WHERE id = 2')\ndatabase.commit()\n"
    )
    rehearse(tree, "restart-end", f"exec {sys.executable} {lose}")
    result = run(tree, plan(tree, roles=[role(databases=["bot.db"])]))
    assert result["status"] == "succeeded", result
    assert result["facts"]["backup"]["databases"]["bot.db"]["rows"] == {"kept": 2}
    assert result["facts"]["proof"]["rows_lost"] == [{"database": "bot.db", "table": "kept", "before": 2, "after": 1}]
