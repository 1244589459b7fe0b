"""What others can do to a server that runs a bot: from another machine, and as the account that deploys."""

import json
from pathlib import Path

import pytest

from deployments.core.sessions import address_of
from deployments.lifecycle import Status
from engine.commands.remote_command import RemoteCommand
from engine.host.agent.systemd import sudo_commands
from engine.host.agent.units import TOLD, take_command
from engine.host.provision.inventory import check_argv
from engine.ssh.keys import PrivateKey
from engine.ssh.session import Session
from tests.fixtures.fleet import APPLICATION, TREE, UNIT, Fleet

pytestmark = pytest.mark.hosts

# Every port there is; what the firewall drops never answers. A SYN that got lost is sent again after a second
# (RFC 6298), so each batch is over when nothing has come for one and a half.
SCAN = """
import errno, json, resource, select, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
size, found = min(hard - 100, 8000), []
for first in range(1, 65536, size):
    probes, poll = {}, select.poll()
    for port in range(first, min(first + size, 65536)):
        probe = socket.socket()
        probe.setblocking(False)
        if probe.connect_ex((sys.argv[1], port)) in (0, errno.EINPROGRESS):
            probes[probe.fileno()] = (probe, port)
            poll.register(probe, select.POLLOUT)
    while True:
        answered = poll.poll(1500)
        if not answered:
            break
        for number, _ in answered:
            probe, port = probes[number]
            poll.unregister(number)
            if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
    for probe, _ in probes.values():
        probe.close()
print(json.dumps(found))
"""


def test_from_any_other_machine_only_ssh_is_to_be_seen(fleet: Fleet) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    served, elsewhere = fleet.machines
    listening = served.root(["ss", "-Hltn"]).stdout.decode()
    assert "0.0.0.0:8101" in listening, "there is more to see than is shown"
    scanned = elsewhere.root(["python3", "-c", SCAN, served.address], deadline=120)
    assert json.loads(scanned.stdout) == [22]


ATTEMPTS = (
    ("/bin/sh", "-c", "id"),
    ("-s",),
    ("-i",),
    ("su",),
    ("-u", "dice-bot", "id"),
    ("-u", "#0", "id"),
    ("cat", "/etc/shadow"),
    ("tee", f"/etc/systemd/system/{UNIT}"),
    ("visudo", "-c"),
    ("-e", "/etc/sudoers"),
    ("nft", "flush", "ruleset"),
    ("python3", "-c", "print(1)"),
    (*check_argv("dice-bot"), "more"),
    check_argv("another-bot"),
    check_argv("dice-bot")[:-1],
    ("/usr/bin/python3", "-I", "-S", "-B", "/tmp/dice-bot.look.py", "look", "dice-bot"),
    ("env", "LD_PRELOAD=/tmp/x.so", "/usr/bin/systemctl", "--no-block", "restart", UNIT),
    ("LD_PRELOAD=/tmp/x.so", "/usr/bin/systemctl", "--no-block", "restart", UNIT),
    ("/usr/bin/systemctl",),
    ("/usr/bin/systemctl", "daemon-reload"),
    ("/usr/bin/systemctl", "edit", UNIT),
    ("/usr/bin/systemctl", "link", f"{TREE}/shared/data/x.service"),
    ("/usr/bin/systemctl", "set-property", UNIT, "MemoryMax=infinity"),
    ("/usr/bin/systemctl", "mask", UNIT),
    ("/usr/bin/systemctl", "poweroff"),
    ("/usr/bin/systemctl", "--no-block", "restart", "ssh.service"),
    ("/usr/bin/systemctl", "--no-block", "restart", "*"),
    ("/usr/bin/systemctl", "--no-block", "restart", UNIT, "ssh.service"),
    ("/usr/bin/systemctl", "--no-block", "restart", f"{UNIT}/../ssh.service"),
    ("/usr/bin/systemctl", "--no-block", "--root=/tmp", "restart", UNIT),
    (*take_command(APPLICATION)[:-1], "boot"),
    (*take_command(APPLICATION), "more"),
    (*take_command(APPLICATION)[:-2], f"{TREE}/shared/data/x", "take"),
)


def test_sudo_gives_exactly_the_commands_of_the_agent_and_the_one_that_looks(fleet: Fleet) -> None:
    fleet.enrol()
    assert fleet.deploy(fleet.release("1.0.0")).status == Status.SUCCEEDED
    machine = fleet.machines[0]
    units = "systemctl show -p MainPID,ActiveState,UnitFileState ssh dbus"
    state = f"{units}; sha256sum /etc/sudoers.d/* /etc/shadow; uptime -s"
    before = machine.root(["sh", "-c", state]).stdout
    key = PrivateKey(fleet.provisioned.private_key)
    with Session(address_of(fleet.server()), key) as session:
        for argv in ATTEMPTS:
            done = session.run(RemoteCommand(("sudo", "-n", *argv)), stdin=b"[Unit]\n", check=False)
            assert done.exit != 0, argv
            assert b"root:" not in done.stdout, argv
        for command in (
            take_command(APPLICATION),
            take_command(APPLICATION, TOLD),
            *sudo_commands(UNIT),
            check_argv(APPLICATION),
        ):
            done = session.run(RemoteCommand(("sudo", "-n", "-l", *command)), check=False)
            assert done.exit == 0, command
        waiting = RemoteCommand(("sudo", "-n", *take_command(APPLICATION, TOLD)))
        for told, answer in ((b"", b""), (b"x\n", b""), (b"\n", b'{"put": [], "gone": []}\n')):
            assert session.run(waiting, stdin=told).stdout == answer, "it does nothing unless it is told to"
    assert machine.root(["sh", "-c", state]).stdout == before


ROOT = Path(__file__).resolve().parent.parent.parent
LIMITS = {"cytube-bot.service": 1.5}


def test_every_unit_file_of_the_project_is_shut_in(fleet: Fleet) -> None:
    """Rated on a server's own systemd; what runs under them is tested where the services are."""
    machine = fleet.machines[0]
    for path in sorted((ROOT / "systemd").glob("*.service")):
        machine.root(["sh", "-c", f"cat > /tmp/{path.name}"], path.read_bytes())
        rated = machine.root(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", f"/tmp/{path.name}"], check=False
        )
        last = rated.stdout.decode().splitlines()[-1]
        assert float(last.partition(": ")[2].split()[0]) <= LIMITS.get(path.name, 2.5), (path.name, last)
        machine.root(["rm", f"/tmp/{path.name}"])
