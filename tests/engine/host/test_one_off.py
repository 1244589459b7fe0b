"""Root's program that runs a command of the application's: it ends what runs as soon as nobody wants it any more."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from engine.host.agent.errors import StepFailed
from engine.host.agent.one_off import OneOff, asked_of
from engine.host.agent.processes import Tools
from engine.host.agent.tree import Tree

ROOT = Path(__file__).resolve().parents[3]
HELD = """
import subprocess, sys
from engine.host.provision import one_off

process = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
one_off.call = lambda argv: process.kill()  # what systemd would end
print("runs", flush=True)
print(one_off._held("tea", process, int(sys.argv[1])), process.wait(), flush=True)
"""
DEAF = ["sleep", "600"]
READS = ["sh", "-c", "head -c 5000 >/dev/null; exec sleep 600"]


@contextmanager
def held(*words: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """What it reads and what it says, while it holds these words that are given 200,000 bytes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, "200000", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Timer(60, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    try:
        assert process.stdout.readline() == b"runs\n"
        yield process.stdin, process.stdout
    finally:
        late.cancel()
        with process, suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("sent", [1, 100_000, 150_000])
@pytest.mark.parametrize("words", [DEAF, READS], ids=["deaf", "reads a little"])
def test_a_command_that_takes_no_input_ends_with_whoever_gives_it(words: list[str], sent: int) -> None:
    with held(*words) as (given, said):
        given.write(b"x" * sent)  # two pipes and a block hold that much
        given.close()
        assert said.read() == b"False -9\n"


@pytest.mark.parametrize(
    ("words", "ended"), [("test $(wc -c) = 200000", b"True 0\n"), ("exec <&-; sleep 0.2; exit 3", b"True 3\n")]
)
def test_a_command_that_takes_its_input_or_wants_none_ends_by_itself(words: str, ended: bytes) -> None:
    with held("sh", "-c", words) as (given, said):
        given.write(b"x" * 200_000)
        given.flush()
        assert said.readline() == ended


def told(tree: Tree, last: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """What the agent understands when root's program ends with this line."""
    monkeypatch.setattr("engine.host.agent.one_off.SUDO", ())
    line = ["sh", "-c", 'head -n 1 >/dev/null; echo a warning >&2; printf "%s\\n" "$0" >&2', last]
    monkeypatch.setattr("engine.host.agent.one_off.run_command", lambda name: line)
    return OneOff(tree, Tools("command", tree.root), asked_of("bot", "", "current", ["id"], 5.0)).told()


@pytest.mark.parametrize(
    "last",
    [
        "5", "{}", '{"code":null}', "null", "[]", '"refused"', "[" * 30_000, '{"result":"success","code":null}',
        '{"result":"success","code":"0"}', '{"result":"success","code":true}', '{"result":"success","code":1.5}',
        '{"result":null,"code":0}', '{"result":"refused"}', '{"result":"refused","sentence":5}',
        '{"result":["x"],"code":0}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_refusal(last: str, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepFailed, match="It was not run: ") as failed:
        told(tree, last, monkeypatch)
    assert failed.value.reason == "command_refused"


def test_an_answer_is_understood(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(tree, '{"result":"exit-code","code":3}', monkeypatch) == ("exit-code", 3)
    with pytest.raises(StepFailed, match=r"^It was not run: No such unit\.$"):
        told(tree, '{"result":"refused","sentence":"No such unit."}', monkeypatch)
