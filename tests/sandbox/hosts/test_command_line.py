"""`python -m sandbox hosts …`, as a person types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.hosts import HostSet
from sandbox.hosts.cli import main
from sandbox.hosts.registry import find

from .remains import Footprint, eventually

COMMANDS = ("up", "down", "status", "ssh", "root", "latency", "loss", "rate", "clear", "disk", "link", "power", "base")
PROJECT = Path(__file__).parents[3]
Typed = Callable[..., subprocess.CompletedProcess[str]]


def typed(*words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "sandbox", *words]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def cli() -> Iterator[Typed]:
    """Types into a set of its own, with one host."""
    name = f"cli-{os.getpid()}"

    def on_set(*words: str) -> subprocess.CompletedProcess[str]:
        return typed("hosts", "--set", name, *words)

    up = on_set("up", "1")
    assert up.returncode == 0, up.stderr
    yield on_set
    footprint = Footprint.of(name)
    down = on_set("down")
    assert (down.returncode, down.stdout) == (0, f"{name} is down\n")
    assert eventually(footprint.remains, lambda left: not left) == {}


@pytest.mark.hosts
class TestOneHost:
    def test_the_set_outlives_the_command_and_says_how_it_is(self, cli: Typed) -> None:
        status = cli("status")

        assert status.returncode == 0
        assert status.stdout.split()[:1] == ["host1"]
        assert "running  0 ms  0 % lost  no rate limit" in status.stdout

    def test_up_again_is_fine_and_shows_addresses_and_fingerprints(self, cli: Typed) -> None:
        up = cli("up", "1")

        assert up.returncode == 0
        assert "SHA256:" in up.stdout
        assert "booting" not in up.stderr

    def test_ssh_and_root_run_commands_and_end_as_they_end(self, cli: Typed) -> None:
        assert cli("ssh", "1", "hostname").stdout == "host1\n"
        assert cli("ssh", "1", "exit", "7").returncode == 7
        assert cli("root", "1", "id", "-un").stdout == "root\n"

    def test_the_cable_does_as_told(self, cli: Typed) -> None:
        for words in (("latency", "50"), ("loss", "1.5", "1"), ("rate", "20000")):
            assert cli(*words).returncode == 0
        assert "50 ms  1.5 % lost  20000 kbit/s" in cli("status").stdout
        assert cli("clear").returncode == 0
        assert "0 ms  0 % lost  no rate limit" in cli("status").stdout

    def test_link_power_and_disk(self, cli: Typed) -> None:
        for words in (("link", "down"), ("link", "up"), ("power", "off"), ("power", "on"), ("off",)):
            assert cli(*words, "1").returncode == 0
        assert "no power" in cli("status").stdout
        for words in (("on",), ("disk", "30M"), ("disk", "off")):
            assert cli(*words, "1").returncode == 0

    @pytest.mark.parametrize(
        ("words", "code", "says"),
        [
            (("link", "down", "9"), 1, "has no host 9"),
            (("loss", "101"), 2, "loss is a percentage"),
            (("latency", "-1"), 2, "latency cannot be negative"),
            (("disk", "much", "1"), 2, "is no size of a disk"),
            (("up", "0"), 2, "A set has 1 to 99 hosts, not 0"),
            (("fly",), 2, "invalid choice: 'fly'"),
        ],
    )
    def test_what_cannot_be_done_is_said_in_a_sentence(
        self, cli: Typed, words: tuple[str, ...], code: int, says: str
    ) -> None:
        done = cli(*words)

        assert (done.returncode, says in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.hosts
def test_ctrl_c_takes_down_what_had_begun() -> None:
    name = f"interrupted-{os.getpid()}"
    command = [sys.executable, "-m", "sandbox", "hosts", "--set", name, "up", "8"]
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("booting host1")
        footprint = Footprint.of(name)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 1

    assert "Interrupted" in said
    assert eventually(footprint.remains, lambda left: not left) == {}


@pytest.mark.hosts
def test_down_all_takes_detached_sets_and_spares_those_of_the_living(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detached, owned = f"detached-{os.getpid()}", f"owned-{os.getpid()}"
    # not those of somebody else on this machine
    monkeypatch.setattr(HostSet, "names", staticmethod(lambda: [detached, owned]))
    HostSet(detached, detached=True).up(1)
    with HostSet(owned) as hosts:
        hosts.up(1)

        assert main(["down", "--all"]) == 0

        said = capsys.readouterr().out
        assert f"{detached} is down" in said
        assert f"{owned} belongs to process {os.getpid()}, which is alive: left alone" in said
        assert hosts.host(1).on
    assert find(detached) is None


@pytest.mark.hosts
def test_a_set_that_is_not_up_is_named() -> None:
    done = typed("hosts", "--set", "nobody", "status")

    assert done.returncode == 1
    assert done.stderr.startswith("No set of hosts named 'nobody' is up.")


def test_help_shows_every_command() -> None:
    done = typed("hosts", "--help")

    for command in COMMANDS:
        assert f"\n    {command} " in done.stdout


def test_a_part_that_is_none_is_named() -> None:
    done = typed("weather")

    assert done.returncode == 2
    assert done.stderr.startswith("The sandbox has no part 'weather'.")
