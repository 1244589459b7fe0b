"""What a bare host is: a Debian 12 server that nobody has provisioned."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from sandbox.hosts import CommandFailed, DeadlinePassed, Host, HostOff, HostSet

pytestmark = pytest.mark.hosts


def ssh(host: Host, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(host.ssh_command(*argv), capture_output=True, text=True, timeout=30, check=False)


def test_root_gets_in_over_ssh_with_the_key_of_the_set_and_a_strict_host_key(bare_host: Host) -> None:
    done = ssh(bare_host, "hostname; id -un")

    assert (done.returncode, done.stdout) == (0, "host1\nroot\n")


def test_a_pinned_key_of_another_host_is_refused(bare_hosts: HostSet, bare_host: Host) -> None:
    command = bare_host.ssh_command("true")
    known_hosts = bare_host.machine.directory / "known_hosts"
    known_hosts.write_text(f"{bare_host.address} {bare_hosts.host(2).host_key}\n")

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_the_fingerprint_is_what_openssh_says_of_the_key_the_host_shows(bare_host: Host) -> None:
    shown = subprocess.run(["ssh-keyscan", "-t", "ed25519", bare_host.address], capture_output=True, check=True).stdout
    said = subprocess.run(["ssh-keygen", "-lf", "-"], input=shown, capture_output=True, check=True).stdout.decode()

    assert bare_host.fingerprint in said.split()
    assert bare_host.host_key in shown.decode()


def test_a_password_is_not_even_asked_for(bare_host: Host) -> None:
    done = ssh(bare_host, "sshd", "-T")

    assert "permitrootlogin without-password" in done.stdout
    assert "passwordauthentication no" in done.stdout


def test_it_is_debian_12_with_systemd_up_and_nothing_failed(bare_host: Host) -> None:
    assert b'VERSION_ID="12"' in bare_host.root(["cat", "/etc/os-release"]).stdout
    assert bare_host.root(["systemctl", "is-system-running"]).stdout == b"running\n"


def test_nothing_of_the_product_is_there_yet(bare_host: Host) -> None:
    assert bare_host.root(["getent", "passwd", "rosey", "rosey-bot"], check=False).stdout == b""
    assert bare_host.root(["ls", "-A", "/opt", "/srv", "/home"]).stdout.split() == [b"/home:", b"/opt:", b"/srv:"]
    assert bare_host.root(["getent", "group", "systemd-journal"]).returncode == 0


@pytest.mark.parametrize("unit", ["caddy", "prometheus", "prometheus-alertmanager", "nftables"])
def test_programs_of_the_roles_are_installed_and_off(bare_host: Host, unit: str) -> None:
    asked = bare_host.root(["systemctl", "show", "-P", "UnitFileState", "-P", "ActiveState", unit]).stdout.split()

    assert asked == [b"inactive", b"disabled"] or asked == [b"disabled", b"inactive"]


def test_hosts_reach_each_other_and_this_machine(bare_hosts: HostSet, bare_host: Host) -> None:
    other = bare_hosts.host(2)

    assert bare_host.root(["nc", "-z", "-w", "5", other.address, "22"]).returncode == 0
    route = bare_host.root(["ip", "-4", "route", "show", "default"]).stdout.decode()
    assert f"via {bare_hosts.gateway} " in route


MEMORY = "bytearray(80 << 20)"
TASKS = "import threading, time\nfor _ in range(9): threading.Thread(target=time.sleep, args=[1]).start()"


@pytest.mark.parametrize(("limit", "greedy"), [("MemoryMax=20M", MEMORY), ("TasksMax=3", TASKS)])
def test_a_units_limits_hold(bare_host: Host, limit: str, greedy: str) -> None:
    run = ["systemd-run", "--quiet", "--wait", "--collect"]

    assert bare_host.root([*run, "python3", "-c", greedy], check=False).returncode == 0
    assert bare_host.root([*run, "-p", limit, "-p", "MemorySwapMax=0", "python3", "-c", greedy], check=False).returncode


def test_root_gives_input_and_takes_output_and_says_what_went_wrong(bare_host: Host) -> None:
    assert bare_host.root(["tr", "a-z", "A-Z"], input=b"quiet").stdout == b"QUIET"

    with pytest.raises(CommandFailed, match=r"`ls` on host1 ended with exit code 2: .*No such file"):
        bare_host.root(["ls", "/nowhere"])


def test_a_command_that_never_ends_is_given_up_at_its_deadline(bare_host: Host) -> None:
    with pytest.raises(DeadlinePassed, match=r"`sleep` on host1 had not ended after 0.2 s"):
        bare_host.root(["sleep", "1000"], deadline=0.2)


def errors(host: Host) -> Counter[str]:
    host.root(["journalctl", "--sync"])
    return Counter(host.root(["journalctl", "-p", "err", "-o", "cat", "--no-pager"]).stdout.decode().splitlines())


def test_waiting_for_a_host_leaves_no_error_in_its_journal(bare_host: Host) -> None:
    before = errors(bare_host)

    bare_host.wait_ready()
    sshd_is_done = ["sh", "-c", "while pgrep -f '[s]shd: .*(unknown|preauth)' >/dev/null; do sleep 0.02; done"]
    bare_host.root(sshd_is_done, deadline=60)
    bare_host.root(["logger", "--priority", "auth.err", "the one error"])

    assert errors(bare_host) - before == Counter({"the one error": 1})


def test_a_host_without_power_says_so(bare_host: Host) -> None:
    bare_host.power_off()

    with pytest.raises(HostOff, match="host1 has no power"):
        bare_host.root(["true"])
