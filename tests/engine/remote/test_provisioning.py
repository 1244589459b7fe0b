"""Provisioning on a bare host: planned before done, done once, and nobody may do more than he should."""

import socket
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest

from engine.commands.operation import file
from engine.commands.provisioning import operations
from engine.commands.remote_command import RemoteCommand
from engine.errors import InvalidRequest
from engine.remote import Report, provision
from engine.remote.bootstrap import Bootstrap
from engine.remote.errors import ProvisionFailed, SudoRefused
from engine.remote.sudo import run_as_root
from engine.ssh.errors import AuthenticationRefused
from engine.ssh.keys import PrivateKey, generate_key
from engine.ssh.session import Session
from tests.engine.remote.releases import UNIT, Release
from tests.engine.remote.servers import ROOT, Server
from tests.fixtures.hosts import HostsFactory

pytestmark = pytest.mark.hosts

STATE = (
    "cat /etc/passwd /etc/group; ls -lR /etc/sudoers.d /etc/systemd /etc/nftables* /opt /home 2>&1; nft list ruleset; "
    "find / -xdev -newer /tmp/before -type f -not -path '/proc/*' -not -path '/sys/*' -not -path '/run/*' "
    "-not -path '/var/log/*' -not -path '/tmp/*' 2>/dev/null"
)


def test_a_plan_tells_everything_and_changes_nothing(hosts_factory: HostsFactory) -> None:
    hosts = hosts_factory(1)
    server = Server(hosts, hosts.host(1))
    server.shell("touch /tmp/before")
    before = server.shell(STATE)
    with server.bootstrap() as session:
        planned = provision(session, operations(server.setup()), plan=True, sudo=False)
        assert server.shell(STATE) == before
        done = provision(session, operations(server.setup()), sudo=False)
        again = provision(session, operations(server.setup()), sudo=False)
    assert [(r.name, r.after) for r in planned if r.state == "changed"] == [
        (r.name, r.after) for r in done if r.state == "changed"
    ]
    assert [r.name for r in again if r.state != "ok"] == []
    facts = again[0].facts
    assert facts["python"].startswith("3.")
    assert facts["init"] == "systemd"
    assert facts["disk"]["free"] > 0
    assert "Debian" in facts["os"]


def test_sudo_is_granted_for_our_units_and_refused_for_everything_else(server: Server) -> None:
    def allowed(*argv: str) -> bool:
        with Session(server.address, server.key) as session:
            return session.run(RemoteCommand(("sudo", "-n", "-l", *argv)), check=False).exit == 0

    assert allowed("/usr/bin/systemctl", "--no-block", "restart", UNIT)
    for argv in (
        ("/bin/sh",),
        ("/usr/bin/systemctl", "restart", "ssh.service"),
        ("/usr/bin/systemctl", "--no-block", "restart", UNIT, "ssh.service"),
        ("/usr/bin/systemctl", "edit", UNIT),
        ("/usr/bin/systemctl", "--no-block", "restart", "*"),
        ("/usr/bin/systemctl",),
    ):
        assert not allowed(*argv), argv


def test_the_application_writes_its_data_and_nothing_else(running: Server, old: Release) -> None:
    with running.client() as client:
        client.secret("password", 1, b"value")
    script = "; ".join(
        f"{{ echo x >> {path}; }} 2>/dev/null && echo may write {path}"
        for path in (
            f"{ROOT}/current/service.py",
            f"{ROOT}/current/new.py",
            f"{ROOT}/current/.config/bot.json",
            f"{ROOT}/current/.config/new.json",
            f"{ROOT}/shared/secrets/password",
            f"{ROOT}/.deploy/journal.jsonl",
            f"{ROOT}/backups/x",
            f"{ROOT}/shared/data/own",
        )
    )
    script += f"; cat {ROOT}/current/.config/bot.json > /dev/null && echo may read its configuration"
    script += f"; cat {ROOT}/shared/secrets/password 2>/dev/null && echo may read secrets"
    done = running.host.root(
        ["setpriv", "--reuid=rosey-bot", "--regid=rosey-bot", "--init-groups", "sh", "-c", script], check=False
    )
    said = done.stdout.decode().split("\n")
    assert said == [f"may write {ROOT}/shared/data/own", "may read its configuration", ""]


def test_the_firewall_keeps_strangers_from_our_own_private_port_and_nobody_from_another(server: Server) -> None:
    ours = server.host.address.rsplit(".", 1)[0] + ".1"
    listeners = "systemd-run -q --unit=listen-{0} python3 -m http.server {0} --bind 0.0.0.0"
    for port in (8001, 8002):
        server.shell(listeners.format(port))
        server.wait(f"curl -s 127.0.0.1:{port} > /dev/null")
    try:
        assert not reachable(server, 8001)
        server.provision(allowed=[ours])
        assert reachable(server, 8001)
        assert reachable(server, 8002)
        server.provision(allowed=["10.255.255.1"])
        assert not reachable(server, 8001)
        assert reachable(server, 22)
    finally:
        server.shell("systemctl stop listen-8001 listen-8002")
        server.provision()


def reachable(server: Server, port: int) -> bool:
    try:
        socket.create_connection((server.host.address, port), timeout=0.5).close()
    except OSError:
        return False
    return True


def test_a_retired_key_no_longer_opens_and_foreign_lines_stay(server: Server) -> None:
    private, public = generate_key("older")
    server.provision(public_keys=[server.public, public])
    server.shell("echo '# a line of the operator' >> /home/rosey/.ssh/authorized_keys")
    older = PrivateKey(private)
    with Session(server.address, older) as session:
        assert session.alive
    server.provision(retired_keys=[public])
    with pytest.raises(AuthenticationRefused), Session(server.address, older):
        pass
    assert "# a line of the operator" in server.shell("cat /home/rosey/.ssh/authorized_keys")
    server.shell(f"echo '# {public}' >> /home/rosey/.ssh/authorized_keys")
    server.provision(public_keys=[server.public, public])  # a key that is commented out lets nobody in
    with Session(server.address, older) as session:
        assert session.alive
    server.provision(retired_keys=[public])
    with server.client() as client:
        assert client.inspect()["current"] is None


def broken_sudoers(server: Server) -> list[dict[str, object]]:
    return [file("/etc/sudoers.d/broken", b"rosey ALL=(\n", title="x", validate=("visudo", "-cqf", "{}"))]


def missing_user(server: Server) -> list[dict[str, object]]:
    return [file("/etc/unowned", b"", title="x", owner="nobody-here")]


def directory_in_the_way(server: Server) -> list[dict[str, object]]:
    return [file("/etc/systemd", b"", title="x")]


def parent_missing(server: Server) -> list[dict[str, object]]:
    made = {"op": "directory", "title": "x", "path": "/opt/none/below", "mode": 0o755, "owner": "root", "group": "root"}
    return [made]


def too_old(server: Server) -> list[dict[str, object]]:
    return [operations(server.setup(python="3.99"))[0]]


def other_architecture(server: Server) -> list[dict[str, object]]:
    return [operations(server.setup(architectures=["aarch64"]))[0]]


def wrong_clock(server: Server) -> list[dict[str, object]]:
    return [operations(server.setup(clock=1_000_000_000.0))[0]]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (broken_sudoers, "would not be valid"),
        (missing_user, "no user nobody-here"),
        (directory_in_the_way, "in the way"),
        (parent_missing, "does not exist"),
        (too_old, r'Python 3.11, and 3.99 or newer is needed. Build a release with python = "3.11"'),
        (other_architecture, r'is x86_64, and the packages of the release are for aarch64. .*architecture = "x86_64"'),
        (wrong_clock, "clock differs"),
    ],
)
@pytest.mark.parametrize("plan", [True, False])
def test_what_cannot_be_done_is_said_and_not_done(
    server: Server, made: Callable[[Server], list[dict[str, object]]], words: str, plan: bool
) -> None:
    reports: list[Report] = []
    with server.bootstrap() as session, pytest.raises(ProvisionFailed, match=words) as failed:
        provision(session, made(server), plan=plan, sudo=False, on_report=reports.append)
    assert failed.value.reports == reports
    assert reports[-1].state == "failed"
    assert server.shell("ls /etc/sudoers.d/broken /etc/unowned 2>/dev/null") == ""


def test_an_account_that_may_not_become_root_is_told_so(server: Server) -> None:
    with Session(server.address, server.key) as session:
        with pytest.raises(ProvisionFailed, match="sudo"):
            provision(session, operations(server.setup()), sudo=True)
        with pytest.raises(ProvisionFailed, match="needs root"):
            provision(session, operations(server.setup()), sudo=False)


@pytest.fixture
def admin(server: Server) -> Iterator[tuple[Server, PrivateKey]]:
    """An account of somebody else's that may become root, and its key."""
    private, public = generate_key("admin")
    server.shell(
        "useradd -m -s /bin/bash admin; echo 'admin:two words' | chpasswd;"
        f" install -d -o admin -m 700 /home/admin/.ssh; echo '{public}' > /home/admin/.ssh/authorized_keys;"
        " chown admin /home/admin/.ssh/authorized_keys"
    )
    yield server, PrivateKey(private)
    server.shell("rm -f /etc/sudoers.d/admin; userdel -r admin")


def test_a_bootstrap_account_with_sudo_is_enough(admin: tuple[Server, PrivateKey]) -> None:
    server, key = admin
    knowing = Mock(return_value="two words")
    known = Bootstrap("admin", (key,), knowing)
    for rule, asked in (("NOPASSWD: ALL", 0), ("ALL", 1), ("NOPASSWD: ALL", 1)):
        server.shell(f"echo 'admin ALL=(ALL) {rule}' > /etc/sudoers.d/admin")
        with known.session(server.address) as session:
            reports = provision(session, operations(server.setup()), sudo=known.sudo)
            assert run_as_root(session, RemoteCommand(("cat",)), sudo=True, stdin=b"as it is").stdout == b"as it is"
        assert {report.state for report in reports} == {"ok"}
        assert knowing.call_count == asked
    assert "two words" not in repr(known)
    kept = server.shell(
        "journalctl -b --no-pager | grep -c 'two words'; grep -rl 'two words' /var/log /home /tmp | wc -l"
    )
    assert kept.split() == ["0", "0"]


def test_a_password_that_sudo_does_not_take_is_tried_once_and_changes_nothing(admin: tuple[Server, PrivateKey]) -> None:
    server, key = admin
    server.shell("echo 'admin ALL=(ALL) ALL' > /etc/sudoers.d/admin; journalctl --rotate; journalctl --vacuum-time=1s")
    wrong = Bootstrap("admin", (key,), lambda: "one word")
    with pytest.raises(SudoRefused, match="does not take this password of admin, and ran nothing") as refused:
        wrong.session(server.address).__enter__()
    assert "one word" not in str(refused.value)
    assert server.shell("journalctl -b --no-pager -t sudo | grep -c 'authentication failure'") == "1"
    server.shell("rm /etc/sudoers.d/admin")
    with pytest.raises(SudoRefused, match=r"ran nothing: .*admin is not in the sudoers file"):
        Bootstrap("admin", (key,), lambda: "two words").session(server.address).__enter__()
    with pytest.raises(InvalidRequest, match="nobody to ask"):
        Bootstrap("admin", (key,)).session(server.address).__enter__()


def test_a_changed_unit_file_is_put_and_read_by_systemd(server: Server) -> None:
    changed = {UNIT: server.setup().units[UNIT].replace(b"A service to deploy", b"Another description")}
    with server.bootstrap() as session:
        planned = provision(session, operations(server.setup(units=changed)), plan=True, sudo=False)
    (report,) = (report for report in planned if report.difference)
    assert report.name == f"unit file {UNIT}"
    assert report.difference[3:6] == [" [Unit]", "-Description=A service to deploy", "+Description=Another description"]
    server.provision(units=changed)
    assert server.shell(f"systemctl show -p Description,NeedDaemonReload {UNIT}") == (
        "Description=Another description\nNeedDaemonReload=no"
    )
    server.provision()


def test_units_of_our_own_are_sound_and_shut_in(server: Server) -> None:
    units = ["rosey-bot-recover.service", "rosey-bot-firewall.service"]
    checked = server.host.root(["systemd-analyze", "verify", "--man=no", *units], check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    for unit in units:
        rated = server.host.root(["systemd-analyze", "security", "--no-pager", "--threshold=25", unit], check=False)
        assert rated.returncode == 0, rated.stdout.decode().splitlines()[-1]


def test_the_firewall_stands_before_anybody_can_connect_after_a_boot(server: Server) -> None:
    server.host.power_off()
    server.host.power_on()
    server.host.wait_ready()
    assert "tcp dport 8001 drop" in server.shell("nft list table inet rosey_bot")
    assert server.shell("systemctl is-active rosey-bot-firewall.service") == "active"
