"""One command in the live release: what it prints is passed on while somebody listens, and it ends with them."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.host.agent import one_off
from engine.host.agent.attached_command import verb_command
from engine.host.agent.errors import Refused
from engine.host.agent.fake_machine import Machine
from engine.host.agent.limits import Record
from engine.host.agent.lock import Lock
from engine.host.agent.tree import Tree
from tests.engine.host.runs import OLD, UNIT, frames, put_live, request, role, said, stream

Root = Callable[[str], Path]


@pytest.fixture(autouse=True)
def portal() -> Iterator[None]:
    """It is there: standard input stays open."""
    before, (read_end, write_end) = os.dup(0), os.pipe()
    os.dup2(read_end, 0)
    os.set_blocking(0, False)
    yield
    os.dup2(before, 0)
    for each in (before, read_end, write_end):
        os.close(each)


@pytest.fixture
def root(tree: Tree, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Root:
    """Root's program is a script here; where it writes what it was asked for."""
    put_live(tree)
    directory = Path(tree.root, "of-root")
    directory.mkdir()
    monkeypatch.setattr(one_off, "SUDO", ())
    monkeypatch.setattr(one_off, "run_command", lambda name: ["/bin/sh", str(directory / "run")])

    def does(script: str) -> Path:
        (directory / "run").write_text(f'read -r asked; printf "%s" "$asked" >{directory}/asked\n{script}\n')
        return directory / "asked"

    return does


def ends(result: str, code: int = 0) -> str:
    """Root's last word."""
    return f"echo '{json.dumps({'result': result, 'code': code})}' >&2"


def command(tree: Tree, *argv: str, **changes: Any) -> Record:
    usual = {"protocol": 1, "roles": [role()], "release": OLD, "unit": "", "seconds": 60.0, "argv": argv or ["true"]}
    line = stream(tree)
    try:
        return verb_command(tree, frames(request({**usual, **changes})), line)
    finally:
        os.close(line.fd)


def printed(tree: Tree) -> list[str]:
    return [record["text"] for record in said(tree) if record["kind"] == "log"]


@pytest.mark.parametrize(("code", "status"), [(0, "succeeded"), (3, "failed")])
def test_what_it_printed_and_how_it_ended_is_told(tree: Tree, root: Root, code: int, status: str) -> None:
    asked = root(f"echo one; echo two; {ends('exit', code)}")
    result = command(tree, "python", "-m", "tea", "--count", unit=UNIT)
    assert (result["status"], result["sentence"]) == (status, f"The command ended with {code}.")
    assert result["facts"]["exit"] == code
    assert printed(tree) == ["one", "two"]
    told = json.loads(asked.read_text())
    assert (told["argv"], told["unit"], told["role"]) == (["python", "-m", "tea", "--count"], UNIT, "bot")
    assert not Lock(tree).held()


def test_a_secret_that_it_prints_is_masked(tree: Tree, root: Root) -> None:
    Path(tree.secrets, "password").write_bytes(b"correct horse battery")
    root(f"echo the password is correct horse battery; {ends('exit')}")
    command(tree)
    assert "correct horse" not in printed(tree)[0]
    assert printed(tree)[0].startswith("the password is ")


def test_what_root_refuses_was_not_run(tree: Tree, root: Root) -> None:
    root("echo 'sudo: a password is required' >&2")
    result = command(tree)
    assert (result["status"], result["reason"]) == ("failed", "command_refused"), result
    assert result["sentence"] == "It was not run: sudo: a password is required. Run provision for this server."


def test_of_endless_output_the_beginning_is_kept(tree: Tree, root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.host.agent.attached_command.OUTPUT_LIMIT", 30)
    monkeypatch.setattr("engine.host.agent.attached_command.COMMAND_LINES", 3)
    root(f"for word in one two three four five six; do echo $word; done; {ends('exit')}")
    command(tree)
    assert printed(tree) == ["one", "two", "three", "(what it printed further is left out)"]


def test_it_ends_when_nobody_listens_any_more(tree: Tree, root: Root) -> None:
    root(f"read -r more; {ends('ended', 143)}")
    nobody = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nobody, 0)
    os.close(nobody)
    result = command(tree)
    assert (result["status"], result["reason"]) == ("failed", "ended"), result
    assert result["sentence"] == "Nobody listens any more. The command was ended, and nothing of it is left."


def test_a_deployment_does_not_wait_for_it(tree: Tree, root: Root) -> None:
    asked = root(f"read -r more; {ends('ended', 143)}")

    def take_over() -> None:
        while not asked.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    another = threading.Thread(target=take_over)
    another.start()
    result = command(tree)
    another.join()
    assert result["sentence"].startswith("A deployment took over."), result


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"argv": []}, "bad_request"),
        ({"argv": ["a\0b"]}, "bad_request"),
        ({"argv": [1]}, "bad_request"),
        ({"unit": "sshd.service"}, "bad_request"),
        ({"release": "2.0-b"}, "wrong_release"),
    ],
)
def test_what_is_no_command_of_the_release_that_runs_is_refused(
    tree: Tree, root: Root, changes: Record, reason: str
) -> None:
    asked = root(ends("exit"))
    with pytest.raises(Refused) as refused:
        command(tree, **changes)
    assert refused.value.reason == reason
    assert not asked.exists()
    assert not Lock(tree).held()


def test_it_waits_for_no_deployment(tree: Tree, root: Root) -> None:
    asked = root(ends("exit"))
    lock = Lock(tree)
    assert lock.acquire(0)
    lock.own("41", 9, 60.0)
    with pytest.raises(Refused, match="Deployment 41 has been running"):
        command(tree)
    lock.release()
    assert not asked.exists()
