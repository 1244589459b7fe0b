"""A real server that only another one reaches: enrolled, looked at and deployed to through it, or told why not."""

import re
from collections.abc import Iterator

import pytest

from deployments.audit import trail
from deployments.core.sessions import address_of, open_session
from deployments.lifecycle import Status
from deployments.models import AuditEvent, Server
from deployments.servers.inspection import find_drift, verify_environment
from engine.ssh.errors import HostKeyMismatch, HostUnreachable
from engine.ssh.keys import PrivateKey, generate_key
from engine.ssh.session import Session
from engine.ssh.transport import fetch_host_key
from tests.fixtures.fleet import Fleet
from tests.stories.saying import said

pytestmark = pytest.mark.hosts
OPS = "/home/ops/.ssh"


@pytest.fixture
def shut(fleet: Fleet) -> Iterator[Fleet]:
    """The second server lets in the first one alone, which has an account for whoever comes through."""
    front, behind = fleet.machines
    front.root(["sh", "-c", f"useradd -m -s /usr/sbin/nologin ops; install -d -o ops -m 700 {OPS}; rm -f {OPS}/*"])
    rules = (
        "nft add table inet shut; nft add chain inet shut in '{ type filter hook input priority -10; }';"
        f" nft add rule inet shut in ip saddr != {front.address} tcp dport 22 reject with tcp reset"
    )
    behind.root(["sh", "-c", rules])
    home = fleet.environment
    home.private_key, home.public_key = fleet.provisioned.private_key, fleet.provisioned.public_key
    home.bake_seconds = 0
    home.save()
    yield fleet
    front.root(["sh", "-c", "systemctl start ssh; userdel -rf ops"], check=False)
    behind.root(["nft", "delete", "table", "inet", "shut"])


def enrol(fleet: Fleet, *more: str) -> tuple[int, str]:
    front, behind = fleet.machines
    where = ("--environment", "test", "--host", behind.address, "--fingerprint", behind.fingerprint)
    jump = ("--jump", f"ops@{front.address}:{front.port}", "--jump-fingerprint", front.fingerprint)
    return said("enroll", "dice-1", *where, *jump, *more)


def let_in(fleet: Fleet, line: str) -> None:
    fleet.machines[0].root(["sh", "-c", f"cat >> {OPS}/authorized_keys; chown ops: {OPS}/*"], f"{line}\n".encode())


def test_everything_goes_through_the_jump_host(shut: Fleet) -> None:
    front, behind = shut.machines
    with pytest.raises(HostUnreachable):
        fetch_host_key(behind.address, behind.port)
    code, words = enrol(shut, "--jump-fingerprint", behind.fingerprint)
    assert code == 1
    assert f"The jump host ops@{front.address}:22 showed the host key {front.fingerprint}, not" in words
    code, words = enrol(shut)
    assert code == 1
    assert f"The jump host ops@{front.address}:22 lets nobody through" in words
    assert not Server.objects.exists()
    (line,) = re.findall(r"restrict,port-forwarding,permitopen=\"[0-9.:]+\" ssh-ed25519 \S+", words)
    let_in(shut, line)

    code, words = enrol(shut)
    assert code == 0, words
    server = Server.objects.get()
    assert server.jump == f"ops@{front.address}:22"
    assert AuditEvent.objects.get(name="server.enrolled").data["jump_fingerprint"] == front.fingerprint
    first = shut.release("1.0.0")
    bootstrap = ("--bootstrap-key", str(shut.provisioned.hosts.bootstrap_key))
    code, words = said("provision", "dice-1", *bootstrap, "--plan")
    assert code == 0, words
    Server.objects.update(state=Server.State.PROVISIONED, unit_files=shut.provisioned.unit_files)

    for release in (first, shut.release("1.0.1")):
        deployment = shut.deploy(release)
        assert deployment.status == Status.SUCCEEDED, deployment.sentence
    assert deployment.sealed.targets[0].jump == server.jump
    assert shut.current(2) == str(deployment.release)
    for look in (verify_environment, find_drift):
        (finding,) = look(actor=shut.actor, environment=shut.environment)
        assert finding.well, finding.sentence
    code, words = said("decommission", "dice-1", *bootstrap, "--plan")
    assert code == 0, words
    through = front.root(["sh", "-c", "journalctl -t sshd --no-pager -o cat | grep -c 'Accepted publickey for ops'"])
    assert int(through.stdout) >= 5
    assert trail.verify() == []


def test_a_jump_host_that_is_away_or_another_one_or_lets_nobody_further_is_named(shut: Fleet) -> None:
    front, behind = shut.machines
    let_in(shut, f'restrict,port-forwarding,permitopen="{behind.address}:22" {shut.provisioned.public_key}')
    code, words = enrol(shut)
    assert code == 0, words
    server = Server.objects.get()
    jump = f"The jump host ops@{front.address}:22"

    Server.objects.update(port=2222)
    server.refresh_from_db()
    with pytest.raises(HostUnreachable, match=f"{jump} does not let us through to {behind.address}:2222"):
        Session(address_of(server), key(shut)).__enter__()
    front.root(["rm", f"{OPS}/authorized_keys"])
    let_in(shut, f"restrict,port-forwarding {shut.provisioned.public_key}")
    with pytest.raises(HostUnreachable, match=f"{behind.address}:2222 does not answer the jump host ops@"):
        Session(address_of(server), key(shut)).__enter__()

    pinned = server.jump_host_key
    Server.objects.update(port=22, jump_host_key=generate_key()[1])
    server.refresh_from_db()
    with pytest.raises(HostKeyMismatch, match=f"{jump} lets nobody through: .* showed the host key"):
        Session(address_of(server), key(shut)).__enter__()

    Server.objects.update(jump_host_key=pinned, state=Server.State.PROVISIONED)
    server.refresh_from_db()
    with open_session(server) as session:
        front.root(["systemctl", "stop", "ssh"])
        session.probe()  # what came through before goes on
        with pytest.raises(HostUnreachable, match=f"{jump} lets nobody through"), open_session(server):
            pass
    shut.release("1.0.0")
    code, words = said("provision", "dice-1", "--bootstrap-key", str(shut.provisioned.hosts.bootstrap_key), "--plan")
    assert code == 1, words
    assert jump in words


def key(fleet: Fleet) -> PrivateKey:
    return PrivateKey(fleet.provisioned.private_key)
