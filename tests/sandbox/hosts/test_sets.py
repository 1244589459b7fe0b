"""Sets side by side, and what happens to a set that is in nobody's hands any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.hosts import (
    BootFailed,
    DirectoryRefused,
    Host,
    HostSet,
    HostUnknown,
    NetworkTaken,
    SetTaken,
    SetUnknown,
)
from sandbox.hosts.processes import output
from sandbox.hosts.registry import find

from .remains import Footprint, eventually

pytestmark = pytest.mark.hosts

OWNER = """
import sys
from sandbox.hosts import HostSet
hosts = HostSet(sys.argv[1])
hosts.up(2)
hosts.host(1).disk("8M")
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name() -> str:
    return f"test-{os.getpid()}"


@pytest.fixture
def owner(name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process with two hosts."""
    command = [sys.executable, "-c", OWNER, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert output(process).readline() == b"up\n"
        yield process
        process.kill()


def test_two_sets_have_nothing_in_common(name: str) -> None:
    with HostSet(f"{name}-a") as one, HostSet(f"{name}-b") as other:
        (first,), (second,) = one.up(1), other.up(1)

        assert one.network != other.network
        assert first.host_key != second.host_key
        assert one.bootstrap_key.read_bytes() != other.bootstrap_key.read_bytes()
        one.down()
        second.wait_ready()
        assert second.root(["hostname"]).stdout == b"host1\n"


def test_sets_that_are_made_at_the_same_moment_do_not_collide(name: str) -> None:
    script = (
        "import sys; from sandbox.hosts import HostSet\n"
        "with HostSet(sys.argv[1]) as s: s.up(1); print(s.network, flush=True); sys.stdin.read()"
    )
    commands = [[sys.executable, "-c", script, f"{name}-{number}"] for number in range(4)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for command in commands
        ]
        networks = {output(process).readline() for process in processes}

    assert b"" not in networks
    assert len(networks) == 4
    assert [process.returncode for process in processes] == [0] * 4


def test_up_again_adds_hosts_and_powers_on_those_that_are_off(name: str) -> None:
    with HostSet(name) as hosts:
        (first,) = hosts.up(1)
        leader = first.machine.leader
        first.root(["touch", "/root/mine"])

        again, second = hosts.up(2)
        assert again.machine.leader == leader
        second.power_off()
        hosts.up(2)

        assert second.on
        assert again.root(["ls", "/root"]).stdout == b"mine\n"
        with pytest.raises(HostUnknown, match="no host 3"):
            hosts.host(3)


def test_a_name_is_taken_as_long_as_its_set_is_up(name: str, owner: subprocess.Popen[bytes]) -> None:
    with pytest.raises(SetTaken, match=f"belongs to process {owner.pid}"):
        HostSet(name).up(1)


def test_a_network_and_a_directory_can_be_given(name: str, tmp_path: Path) -> None:
    with HostSet(name, tmp_path / "state", "10.213.7.0/24") as hosts:
        (host,) = hosts.up(1)

        assert (hosts.gateway, host.address) == ("10.213.7.1", "10.213.7.11")
        assert (tmp_path / "state" / "key").exists()
        with pytest.raises(NetworkTaken, match=r"10.213.0.0/16 overlaps with 10.213.7.0/24"):
            HostSet(f"{name}-b", network="10.213.0.0/16").up(1)
    assert not (tmp_path / "state").exists()


def test_a_directory_with_other_things_in_it_is_refused_and_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()

    with pytest.raises(DirectoryRefused, match="is not empty"):
        HostSet(name, tmp_path).up(1)

    assert (tmp_path / "mine").exists()
    assert find(name) is None


def test_nothing_stays_of_a_set_that_did_not_come_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.hosts.host.Host._identify", lambda host: _spoil(host, name))
    footprints: list[Footprint] = []

    def _spoil(host: Host, name: str) -> None:
        (host.machine.directory / "upper").mkdir()
        (host.machine.directory / "upper" / "usr").mkdir()
        (host.machine.directory / "upper" / "usr" / "lib").symlink_to("/nowhere")
        footprints.append(Footprint.of(name))

    with pytest.raises(BootFailed, match="host1 ended while booting"):
        HostSet(name).up(1)

    assert footprints
    assert footprints[0].remains() == {}


def test_a_set_taken_down_leaves_nothing(name: str) -> None:
    with HostSet(name) as hosts:
        hosts.up(2)
        hosts.host(1).disk("8M")
        footprint = Footprint.of(name)
        assert set(footprint.remains()) >= {"processes", "guardian", "namespaces", "links", "mounts", "loop devices"}
        assert set(footprint.remains()) >= {"control groups", "files"}
    assert footprint.remains() == {}


def test_a_killed_owner_leaves_nothing(name: str, owner: subprocess.Popen[bytes]) -> None:
    footprint = Footprint.of(name)
    assert len(footprint.namespaces) == 2

    owner.kill()

    assert eventually(footprint.remains, lambda left: not left) == {}


def test_when_the_guardian_was_killed_too_a_sweep_clears_up(name: str, owner: subprocess.Popen[bytes]) -> None:
    footprint = Footprint.of(name)
    (guardian,) = footprint.remains()["guardian"]
    os.kill(int(guardian), signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert "processes" in footprint.remains()

    assert HostSet.sweep() == [name]

    assert footprint.remains() == {}


def test_a_sweep_leaves_the_living_alone(name: str, owner: subprocess.Popen[bytes]) -> None:
    assert name not in HostSet.sweep()
    assert HostSet.attach(name).host(1).on


def test_another_process_can_work_with_a_set(name: str, owner: subprocess.Popen[bytes]) -> None:
    hosts = HostSet.attach(name)
    first, second = hosts.hosts

    first.power_off()
    assert (first.on, second.on) == (False, True)
    first.power_on()
    first.wait_ready()

    assert subprocess.run(first.ssh_command("true"), check=False, timeout=30).returncode == 0
    with pytest.raises(SetUnknown, match="No set of hosts named 'nobody'"):
        HostSet.attach("nobody")
