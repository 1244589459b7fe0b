"""The faults a host can be given, seen from where the product sees them."""

from __future__ import annotations

import errno
import socket
import subprocess
import time

import pytest

from sandbox.hosts import CommandFailed, Host, HostsError, HostSet

pytestmark = pytest.mark.hosts

TREE = "/opt/rosey-bot"


def knock(host: Host, port: int = 22) -> float:
    """Seconds for one round trip: a TCP handshake."""
    began = time.monotonic()
    socket.create_connection((host.address, port), timeout=10).close()
    return time.monotonic() - began


def unreachable(host: Host, port: int = 22) -> bool:
    try:
        socket.create_connection((host.address, port), timeout=0.5).close()
    except TimeoutError:
        return True
    except OSError as error:
        return error.errno == errno.EHOSTUNREACH
    return False


def test_latency_is_a_round_trip_and_goes_away_again(bare_host: Host) -> None:
    undisturbed = min(knock(bare_host) for _ in range(5))

    bare_host.latency(80)
    slow = min(knock(bare_host) for _ in range(5))
    bare_host.latency(0)
    again = min(knock(bare_host) for _ in range(5))

    assert 0.079 <= slow <= 0.079 + 5 * undisturbed + 0.05
    assert again < slow / 2


def test_a_black_hole_answers_nothing_not_even_a_refusal(bare_host: Host) -> None:
    with pytest.raises(ConnectionRefusedError):
        knock(bare_host, port=9)

    bare_host.loss(100)
    assert unreachable(bare_host, port=9)
    assert unreachable(bare_host)

    bare_host.clear()
    bare_host.wait_ready()


def test_some_loss_loses_some_frames(bare_host: Host) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("", 0))
        listener.settimeout(2)
        script = (
            "import socket, sys, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "for i in range(400): s.sendto(str(i).encode(), (sys.argv[1], int(sys.argv[2]))); time.sleep(0.001)\n"
            "sys.stdin.read()"
        )
        gateway = bare_host.root(["ip", "route", "show", "default"]).stdout.decode().split()[2]
        bare_host.loss(50)
        bare_host.root(["python3", "-c", script, gateway, str(listener.getsockname()[1])])
        bare_host.clear()
        listener.settimeout(0.5)
        arrived = 0
        while True:
            try:
                listener.recv(100)
            except TimeoutError:
                break
            arrived += 1

    assert 100 < arrived < 300  # 200 expected, 10 is one standard deviation


def test_a_line_rate_holds(bare_host: Host) -> None:
    bare_host.rate(4000)
    began = time.monotonic()
    done = subprocess.run(
        bare_host.ssh_command("head", "-c", "1000000", "/dev/zero"), capture_output=True, timeout=60, check=True
    )
    took = time.monotonic() - began

    assert len(done.stdout) == 1_000_000
    assert took >= 1.8  # 8 Mbit over 4 Mbit/s


def test_a_cut_cable_is_silent_and_a_connection_outlives_a_short_cut(bare_host: Host) -> None:
    with socket.create_connection((bare_host.address, 22), timeout=30) as connection:
        greeting = connection.recv(100)
        bare_host.link(False)
        assert unreachable(bare_host)
        connection.sendall(b"SSH-2.0-patient\r\n")

        bare_host.link(True)

        assert greeting.startswith(b"SSH-2.0-OpenSSH")
        assert connection.recv(1)  # sshd's next packet: what was sent while the cable was out has arrived


def test_a_power_cut_ends_everything_at_once_and_the_disk_stays(bare_host: Host) -> None:
    key = bare_host.host_key
    bare_host.root(["sh", "-c", "echo kept > /root/kept; echo gone > /run/gone; sync"])
    bare_host.root(["logger", "--priority", "user.err", "before the cut"])
    bare_host.root(["journalctl", "--sync"])

    bare_host.power_off()
    assert not bare_host.on
    assert unreachable(bare_host)
    bare_host.power_on()
    bare_host.wait_ready()

    assert bare_host.root(["cat", "/root/kept"]).stdout == b"kept\n"
    assert bare_host.root(["ls", "/run/gone"], check=False).returncode != 0
    assert b"before the cut" in bare_host.root(["journalctl", "-p", "err", "-o", "cat", "--no-pager"]).stdout
    assert bare_host.host_key == key
    assert subprocess.run(bare_host.ssh_command("true"), check=False, timeout=30).returncode == 0


def test_a_power_cut_is_not_announced_and_connections_do_not_survive_it(bare_host: Host) -> None:
    with socket.create_connection((bare_host.address, 22), timeout=0.5) as connection:
        assert connection.recv(100).startswith(b"SSH-2.0-OpenSSH")

        bare_host.power_off()
        with pytest.raises(TimeoutError):
            connection.recv(1)

        bare_host.power_on()
        bare_host.wait_ready()
        connection.settimeout(30)
        connection.sendall(b"SSH-2.0-stale\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_host_boots_with_its_cable_out(bare_host: Host) -> None:
    bare_host.link(False)
    bare_host.power_off()

    bare_host.power_on()

    assert bare_host.root(["systemctl", "is-active", "ssh"]).stdout == b"active\n"
    assert unreachable(bare_host)


class TestSmallDisk:
    """On host 2, which the other tests leave alone."""

    @pytest.fixture
    def host(self, bare_hosts: HostSet) -> Host:
        host: Host = bare_hosts.host(2)
        if host.machine.disk.path is None:
            host.root(["sh", "-ec", f"mkdir -p {TREE}/shared; chown 65534:33 {TREE}; chmod 2750 {TREE}"])
            host.root(["sh", "-ec", f"echo precious > {TREE}/shared/bot.db; ln {TREE}/shared/bot.db {TREE}/link"])
        return host

    def fill(self, host: Host) -> bytes:
        with pytest.raises(CommandFailed) as caught:
            host.root(["dd", "if=/dev/zero", f"of={TREE}/filler", "bs=64K"])
        return caught.value.stderr

    def room(self, host: Host) -> int:
        blocks, size = host.root(["stat", "-f", "-c", "%a %S", TREE]).stdout.split()
        return int(blocks) * int(size)

    def test_it_runs_full_like_any_disk(self, host: Host) -> None:
        host.disk("8M")

        assert b"No space left on device" in self.fill(host)
        assert int(host.root(["stat", "-c", "%s", f"{TREE}/filler"]).stdout) <= 8 << 20

    def test_what_is_in_the_tree_counts(self, host: Host) -> None:
        host.disk_off()
        host.root(["dd", "if=/dev/zero", f"of={TREE}/filler", "bs=1M", "count=5"])

        host.disk("8M")

        assert 2 << 20 < self.room(host) <= 3 << 20

    def test_the_tree_keeps_its_content_owner_mode_and_hard_links(self, host: Host) -> None:
        host.disk("8M")

        assert host.root(["stat", "-c", "%u %g %a", TREE]).stdout == b"65534 33 2750\n"
        assert host.root(["stat", "-c", "%h", f"{TREE}/link"]).stdout == b"2\n"
        assert host.root(["cat", f"{TREE}/link"]).stdout == b"precious\n"

    def test_room_comes_back_without_losing_what_was_written(self, host: Host) -> None:
        host.disk("8M")
        host.root(["sh", "-c", f"echo new > {TREE}/shared/new"])
        host.root(["sh", "-c", f"head -c 20M /dev/zero > {TREE}/filler"], check=False)

        host.disk_off()

        assert self.room(host) > 1 << 30
        assert host.root(["cat", f"{TREE}/shared/new"]).stdout == b"new\n"
        host.disk("8M")
        assert self.room(host) < 8 << 20

    def test_it_is_there_and_as_small_after_a_power_cut(self, host: Host) -> None:
        host.disk("8M")
        host.root(["rm", "-f", f"{TREE}/filler"])
        before = self.room(host)

        host.power_off()
        host.power_on()

        assert host.root(["cat", f"{TREE}/link"]).stdout == b"precious\n"
        assert abs(self.room(host) - before) < 1 << 20

    def test_a_second_place_is_refused(self, host: Host) -> None:
        host.disk("8M")

        with pytest.raises(HostsError, match="small disk of host2 is at /opt/rosey-bot"):
            host.disk("8M", path="/srv")
