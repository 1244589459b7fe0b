"""Journal, fence, lock and masking: what must stay true through power cuts and rivals."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent import journal as journal_module
from engine.host.agent.errors import LastWords, Refused, StepFailed
from engine.host.agent.files import swap_link, write_all
from engine.host.agent.journal import Journal
from engine.host.agent.limits import BALLAST, LATER, LINE_LIMIT, NOW
from engine.host.agent.lock import Lock
from engine.host.agent.processes import Tools, process_start, same_process
from engine.host.agent.recorder import Masker, Recorder
from engine.host.agent.tree import Tree
from engine.host.agent.wire import Stream

PLAN: dict[str, Any] = {"release": "r2", "roles": [], "config_digest": "d", "deadlines": {}}


def recorder(tree: Tree, journal: Journal, deployment: str = "7", seq: int = 0) -> Recorder:
    state = {"deployment": deployment, "fence": 3, "seq": seq}
    return Recorder(journal, lambda record: None, Masker(tree), state)


def test_a_run_is_known_again_from_its_journal(tree: Tree) -> None:
    journal = Journal(tree)
    writer = recorder(tree, journal)
    writer.record("run", {"plan": PLAN})
    begun = writer.begin("preflight")
    writer.record("before", {"current": "r1"})
    writer.end("preflight", "ok", begun, {})
    writer.begin("stage")
    state = Journal(tree).last_run()
    assert state is not None
    assert (state.deployment, state.fence, state.seq, state.unfinished) == ("7", 3, 5, True)
    assert (state.begun, state.ended) == (["preflight", "stage"], ["preflight"])
    assert state.before is not None
    assert state.before["current"] == "r1"
    writer.record("result", {"status": "failed"})
    assert not Journal(tree).last_run().unfinished  # type: ignore[union-attr]  # there is one


def test_a_line_that_a_power_cut_tore_does_not_hide_the_others(tree: Tree) -> None:
    writer = recorder(tree, Journal(tree))
    writer.record("run", {"plan": PLAN})
    with Path(tree.journal).open("ab") as file:
        file.write(b'{"kind":"step","seq":2,"depl')
    again = recorder(tree, Journal(tree), seq=2)
    again.record("result", {"status": "reverted"})
    kinds = [record["kind"] for record in Journal(tree).records()]
    assert kinds == ["run", "result"]


def test_a_journal_that_has_grown_is_rotated_and_still_read(tree: Tree) -> None:
    journal = Journal(tree)
    writer = recorder(tree, journal)
    writer.record("run", {"plan": PLAN})
    for _ in range(300):
        writer.record("log", {"step": "stage", "stream": "output", "text": "x" * 2000}, LATER)
    journal.close()
    journal.rotate()
    assert not Path(tree.journal).exists()
    recorder(tree, journal, "8").record("run", {"plan": PLAN})
    assert len(Journal(tree).of("7")) == 301
    state = Journal(tree).last_run()
    assert state is not None
    assert state.deployment == "8"


def test_a_full_disk_still_has_room_for_the_revert(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.fill_ballast()
    assert Path(tree.ballast).stat().st_size == BALLAST

    def no_room(fd: int, content: bytes) -> None:
        if Path(tree.ballast).exists():
            raise OSError(28, "No space left on device")
        write_all(fd, content)

    monkeypatch.setattr(journal_module, "write_all", no_room)
    recorder(tree, Journal(tree)).record("run", {"plan": PLAN})
    assert not Path(tree.ballast).exists()
    assert [record["kind"] for record in Journal(tree).records()] == ["run"]


def test_a_fence_only_rises(tree: Tree) -> None:
    tree.raise_fence(5, "a")
    tree.raise_fence(5, "a")
    with pytest.raises(Refused, match="newer attempt") as refused:
        tree.raise_fence(4, "a")
    assert (refused.value.reason, refused.value.facts) == ("fence_outdated", {"highest": 5})
    with pytest.raises(Refused):
        tree.raise_fence(5, "b")
    assert tree.highest_fence() == (5, "a")
    tree.check_fence(5)
    tree.raise_fence(9, "b")
    with pytest.raises(StepFailed, match="taken over"):
        tree.check_fence(5)


def test_a_lock_has_one_owner_and_is_free_when_that_one_has_ended(tree: Tree) -> None:
    lock = Lock(tree)
    assert lock.acquire(0)
    lock.own("7", 3, 60)
    assert not Lock(tree).acquire(0)
    assert Lock(tree).held()
    assert Lock(tree).owner()["deployment"] == "7"
    lock.release()
    assert Lock(tree).acquire(0)


def test_a_pid_that_was_given_to_another_process_is_not_mistaken() -> None:
    started = process_start(os.getpid())
    assert same_process(os.getpid(), started)
    assert not same_process(os.getpid(), "12345")
    assert not same_process(1, process_start(1))
    assert not same_process(None, None)


def test_every_secret_is_masked_wherever_it_turns_up(tree: Tree) -> None:
    Path(tree.secrets, "short").write_text("hunter2\n")
    Path(tree.secrets, "long").write_text("hunter2-and-more")
    Path(tree.secrets, "key").write_text(
        "-----BEGIN KEY-----\nfirst line of it\nsecond line of it\n-----END KEY-----\n"
    )
    Path(tree.secrets, "empty").write_text("")
    masker = Masker(tree)
    assert masker.text("is it hunter2 or hunter2-and-more?") == "is it [secret short] or [secret long]?"
    assert masker.text("log: second line of it.") == "log: [secret key]."
    assert masker.value({"a": ["hunter2", 1, None]}) == {"a": ["[secret short]", 1, None]}


def test_a_reader_that_has_stopped_never_blocks_the_work() -> None:
    read_end, write_end = os.pipe()
    stream = Stream(write_end)
    for number in range(20_000):
        stream.record({"kind": "log", "text": "x" * 100, "seq": number})
    stream.record({"kind": "result", "status": "succeeded"})
    assert stream.waiting
    said = b""
    while b'"result"' not in said or not said.endswith(b"\n"):
        said += os.read(read_end, 1 << 20)
        stream.pump()
    records = [json.loads(line) for line in said.splitlines()]
    assert records[-1]["kind"] == "result"  # lines of output may be missing, what matters is not
    assert 1000 < len(records) < 20_000
    os.close(read_end)
    stream.record({"kind": "alive"})  # and one that has gone does not hurt either
    os.close(write_end)


def test_what_a_link_points_to_is_swapped_in_one_step(tree: Tree) -> None:
    swap_link(tree.current, "releases/a")
    swap_link(tree.current, "releases/b")
    assert tree.current_release() == "b"
    assert sorted(path.name for path in Path(tree.root).iterdir()) == [
        ".deploy",
        "backups",
        "current",
        "envs",
        "releases",
        "shared",
    ]


def logged(tree: Tree, count: int) -> list[str]:
    journal = Journal(tree)
    writer = recorder(tree, journal)
    writer.record("run", {"plan": PLAN})
    begun = writer.begin("dependencies")
    for number in range(1, count + 1):
        writer.log("dependencies", f"line {number}", "output")
    writer.end("dependencies", "failed", begun, {})
    return [record["text"] for record in Journal(tree).records() if record["kind"] == "log"]


def test_the_last_lines_of_very_many_are_kept_and_those_left_out_are_counted(tree: Tree) -> None:
    lines = logged(tree, 200_000)
    assert lines[:200] == [f"line {number}" for number in range(1, 201)]
    assert lines[-2000:] == [f"line {number}" for number in range(198_001, 200_001)]
    assert len(lines) == 4201
    assert lines[2200] == "(195800 lines are left out here)"


@pytest.mark.parametrize("count", [0, 200, 2200, 2201, 4200, 4201])
def test_nothing_is_left_out_where_there_is_room(tree: Tree, count: int) -> None:
    lines = logged(tree, count)
    said = [line for line in lines if not line.startswith("(")]
    assert len(said) == min(count, 4200)
    assert len(lines) - len(said) == (count > 4200)
    assert not count or said[-1] == f"line {count}"


def test_a_long_line_keeps_its_end_and_says_how_much_is_missing(tree: Tree) -> None:
    Path(tree.secrets, "password").write_text("open-sesame-1234")
    writer = recorder(tree, Journal(tree))
    writer.record("run", {"plan": PLAN})
    long = "x" * (LINE_LIMIT - 8) + "open-sesame-1234" + "y" * 11_000 + " KeyError: 'room'"
    sent = [sys.executable, "-c", f"print({long!r})"]
    Tools("d1", tree.root).logged(sent, "/", lambda line: writer.log("dependencies", line))
    [line] = [record["text"] for record in Journal(tree).records() if record["kind"] == "log"]
    assert line.endswith("KeyError: 'room'")
    assert "open" not in line
    assert " characters are left out here) " in line
    assert len(line) <= LINE_LIMIT


@pytest.mark.parametrize("place", range(LINE_LIMIT - 17, LINE_LIMIT + 2, 3))
def test_a_secret_at_the_end_of_what_is_kept_is_masked_whole(tree: Tree, place: int) -> None:
    Path(tree.secrets, "password").write_text("open-sesame-1234")
    writer = recorder(tree, Journal(tree))
    writer.record("run", {"plan": PLAN})
    writer.log("dependencies", "x" * place + "open-sesame-1234" + "y" * 9000)
    [line] = [record["text"] for record in Journal(tree).records() if record["kind"] == "log"]
    assert "open" not in line


def test_lines_that_are_held_are_written_once_although_their_writing_was_broken_off(tree: Tree) -> None:
    writer = recorder(tree, Journal(tree))
    writer.record("run", {"plan": PLAN})
    for number in range(6000):
        writer.log("stage", str(number))
    real, written = writer.record, list[str]()

    def break_off(kind: str, fields: dict[str, Any], sync: int = NOW) -> dict[str, Any]:
        if len(written) == 50:
            raise LastWords
        written.append(fields["text"])
        return real(kind, fields, sync)

    writer.record = break_off  # type: ignore[method-assign]  # a signal comes in the middle
    with pytest.raises(LastWords):
        writer.flush()
    writer.record = real  # type: ignore[method-assign]  # as it was
    writer.flush()
    texts = [record["text"] for record in Journal(tree).records() if record["kind"] == "log"]
    assert texts[-1] == "5999"
    assert len(texts) == len(set(texts))
