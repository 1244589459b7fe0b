"""Sessions with a real sshd: who is let in, what arrives, and what is noticed when nothing does."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.commands.remote_command import RemoteCommand
from engine.ssh.address import Address
from engine.ssh.agent import agent_keys
from engine.ssh.errors import (
    AuthenticationRefused,
    HostKeyMismatch,
    HostUnreachable,
    LinkLost,
    RemoteDeadline,
    RemoteFailed,
)
from engine.ssh.keys import HostKey, PrivateKey, UnusableKey, generate_key
from engine.ssh.session import Session
from engine.ssh.transport import fetch_host_key
from sandbox.hosts import Host, HostSet

pytestmark = pytest.mark.hosts


@pytest.fixture
def key(bare_hosts: HostSet) -> PrivateKey:
    return PrivateKey(bare_hosts.bootstrap_key.read_text())


@pytest.fixture
def address(bare_host: Host) -> Address:
    return Address(bare_host.address, bare_host.port, "root", HostKey.parse(bare_host.host_key))


@pytest.fixture
def session(address: Address, key: PrivateKey) -> Iterator[Session]:
    with Session(address, key) as opened:
        yield opened


def shell(script: str) -> RemoteCommand:
    return RemoteCommand(("sh", "-c", script))


def listen(session: Session, meanwhile: Callable[[], object]) -> None:
    """Hear a command that gives a sign of life every tenth of a second."""
    with session.converse(shell("while :; do echo alive; sleep 0.1; done")) as conversation:
        for _ in conversation.lines(deadline=60, silence=2):
            meanwhile()


def test_the_key_that_is_fetched_is_the_one_on_the_servers_disk(bare_host: Host) -> None:
    shown = fetch_host_key(bare_host.address, bare_host.port)
    assert str(shown) == " ".join(bare_host.host_key.split()[:2])
    assert shown.fingerprint == bare_host.fingerprint


def test_a_command_gets_input_and_gives_output_and_exit_code(session: Session) -> None:
    done = session.run(shell("cat; echo to stderr >&2; exit 3"), stdin=b"to stdout", check=False)
    assert (done.exit, done.stdout, done.stderr) == (3, b"to stdout", b"to stderr\n")


def test_arguments_arrive_as_they_are(session: Session) -> None:
    nasty = ("; rm -rf /", "$(id)", "`id`", "a'b\"c", "two\nlines", "", "*", "~", "\\")
    done = session.run(RemoteCommand(("python3", "-c", "import sys; print(sys.argv[1:])", *nasty)))
    assert done.stdout.decode().strip() == repr(list(nasty))


def test_a_failing_command_says_what_it_said(session: Session) -> None:
    with pytest.raises(RemoteFailed, match=r"exit code 4: it is broken") as failed:
        session.run(shell("echo it is broken >&2; exit 4"))
    assert failed.value.remote_exit == 4


def test_megabytes_on_both_outputs_do_not_block(session: Session) -> None:
    done = session.run(
        shell("head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero; cat | wc -c"), stdin=bytes(3 << 20)
    )
    assert done.stdout.endswith(b"3145728\n")
    assert len(done.stdout) == 5_000_000 + 8


def test_a_command_killed_by_a_signal_has_no_exit_code(session: Session) -> None:
    assert session.run(shell("kill -9 $$"), check=False).exit == -1


def test_a_command_that_overstays_is_reported_in_time(session: Session) -> None:
    began = time.monotonic()
    with pytest.raises(RemoteDeadline, match=r"within 0\.5 s"):
        session.run(shell("sleep 30"), deadline=0.5)
    assert time.monotonic() - began < 10


def test_several_threads_may_share_a_session(session: Session) -> None:
    seen: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(session.run(shell(f"sleep 0.1; echo {n}")).stdout))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(seen) == [b"%d\n" % n for n in range(8)]


def test_another_host_key_stops_everything_before_the_key_is_offered(
    address: Address, key: PrivateKey, bare_host: Host
) -> None:
    _, other = generate_key()
    pinned = HostKey.parse(other)
    bare_host.root(["journalctl", "--rotate"])
    with pytest.raises(HostKeyMismatch) as mismatch, Session(Address(address.host, address.port, "root", pinned), key):
        pass
    assert pinned.fingerprint in str(mismatch.value)
    assert bare_host.fingerprint in str(mismatch.value)
    assert mismatch.value.permanent
    log = bare_host.root(["journalctl", "-u", "ssh", "-n", "5", "-o", "cat"]).stdout.decode()
    assert "Accepted publickey" not in log.splitlines()[-1]


def test_a_pinned_key_of_another_type_is_a_mismatch_too(address: Address, key: PrivateKey, bare_host: Host) -> None:
    line = bare_host.root(["cat", "/etc/ssh/ssh_host_rsa_key.pub"], check=False).stdout.decode()
    if not line:
        bare_host.root(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", "/etc/ssh/ssh_host_rsa_key"])
        line = bare_host.root(["cat", "/etc/ssh/ssh_host_rsa_key.pub"]).stdout.decode()
        bare_host.root(["systemctl", "restart", "ssh"])
        bare_host.wait_ready()
    rsa = Address(address.host, address.port, "root", HostKey.parse(line))
    with Session(rsa, key) as session:  # a server may be pinned by any key it really has
        assert session.run(shell("echo in")).stdout == b"in\n"
    curve = Address(
        address.host,
        address.port,
        "root",
        HostKey.parse(
            "ecdsa-sha2-nistp521 "
            "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        ),
    )
    with pytest.raises(HostKeyMismatch), Session(curve, key):
        pass


def test_a_key_the_server_does_not_know_is_refused(address: Address) -> None:
    private, _ = generate_key()
    with (
        pytest.raises(AuthenticationRefused, match="does not accept the key SHA256:"),
        Session(address, PrivateKey(private)),
    ):
        pass


def test_a_user_the_server_does_not_know_is_refused(address: Address, key: PrivateKey) -> None:
    nobody = Address(address.host, address.port, "nobody-here", address.host_key)
    with pytest.raises(AuthenticationRefused, match="nobody-here"), Session(nobody, key):
        pass


def test_a_server_that_is_switched_off_is_unreachable_in_time(
    address: Address, key: PrivateKey, bare_host: Host
) -> None:
    bare_host.power_off()
    began = time.monotonic()
    with pytest.raises(HostUnreachable, match="does not answer"), Session(address, key, connect_timeout=1):
        pass
    assert time.monotonic() - began < 8


def test_a_server_that_accepts_and_says_nothing_is_unreachable_in_time(key: PrivateKey, address: Address) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        with (
            pytest.raises(HostUnreachable),
            Session(Address("127.0.0.1", port, "root", address.host_key), key, connect_timeout=1),
        ):
            pass
        assert time.monotonic() - began < 8


def test_something_else_than_ssh_is_unreachable(key: PrivateKey, address: Address) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        there = Address("127.0.0.1", other.getsockname()[1], "root", address.host_key)
        with pytest.raises(HostUnreachable, match="as an SSH server should"), Session(there, key, connect_timeout=2):
            pass


def test_a_black_hole_is_noticed_by_its_silence(session: Session, bare_host: Host) -> None:
    began = time.monotonic()
    with pytest.raises(LinkLost, match="for 2 s"):
        listen(session, lambda: bare_host.loss(100))
    assert time.monotonic() - began < 10


def test_sending_into_a_black_hole_does_not_hang(session: Session, bare_host: Host) -> None:
    with session.converse(shell("cat > /dev/null")) as conversation:
        bare_host.loss(100)
        conversation.send(bytes(1 << 20) for _ in range(64))
        lines = conversation.lines(deadline=60, silence=2)
        with pytest.raises(LinkLost):
            list(lines)
        session.close()
    ours = [thread.name for thread in threading.enumerate() if thread.name == "ssh-send"]
    deadline = time.monotonic() + 60
    while ours and time.monotonic() < deadline:
        ours = [thread.name for thread in threading.enumerate() if thread.name == "ssh-send"]
    assert not ours


def test_a_source_that_breaks_ends_the_conversation_with_its_own_error(session: Session) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a beginning"
        raise ArithmeticError("the artifact is damaged")

    with pytest.raises(ArithmeticError, match="damaged"):
        session.run(shell("cat"), stdin=broken())


def test_a_stopped_sshd_is_noticed_by_its_silence(session: Session, bare_host: Host) -> None:
    """The kernel still acknowledges for it, so TCP alone would never tell."""
    with pytest.raises(LinkLost, match="for 2 s"):
        listen(session, lambda: bare_host.root(["pkill", "-STOP", "-x", "sshd"]))
    bare_host.root(["pkill", "-CONT", "-x", "sshd"])


def test_a_conversation_after_a_probe_needs_a_round_trip_less_and_the_next_one_does_not(
    session: Session, bare_host: Host
) -> None:
    bare_host.latency(400)

    def seconds(act: Callable[[], object]) -> float:
        began = time.monotonic()
        act()
        return time.monotonic() - began

    try:
        alone = seconds(lambda: session.run(shell("true")))
        session.probe()
        session.probe()  # nobody has used what the first has opened
        after, next_one = (seconds(lambda: session.run(shell("true"))) for _ in range(2))
    finally:
        bare_host.clear()
    assert after < alone - 0.2, "half a round trip, since the machine has others to serve"
    assert next_one > after + 0.2


def test_what_was_begun_is_taken_over_by_the_same_command_and_ended_by_another(session: Session) -> None:
    counted, lines = shell("echo up >> /tmp/begun; wc -l"), b"1\n2\n"
    session.begin(counted)
    session.begin(counted)  # it is the same one still
    session.probe()
    assert session.run(counted, stdin=lines).stdout.split() == [b"2"]
    assert session.run(shell("cat /tmp/begun")).stdout == b"up\n"
    session.begin(shell("cat > /dev/null; echo ended > /tmp/over"))
    session.run(shell("until [ -e /tmp/over ]; do sleep 0.05; done"))
    session.begin(counted)
    session.close()
    with pytest.raises(LinkLost, match="is closed"):
        session.run(counted)


def test_a_closed_session_says_so(session: Session) -> None:
    session.close()
    with pytest.raises(LinkLost, match="is closed"):
        session.run(shell("true"))


def test_no_agent_is_asked_for_keys_unless_they_are_handed_in(
    address: Address, bare_hosts: HostSet, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that holds the right key is there, and not used."""
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    load(agent, bare_hosts.bootstrap_key)
    private, _ = generate_key()
    with pytest.raises(AuthenticationRefused), Session(address, PrivateKey(private)):
        pass
    with Session(address, PrivateKey(private), *agent_keys(agent)) as session:
        assert session.run(shell("echo in; echo ${SSH_AUTH_SOCK-none}")).stdout == b"in\nnone\n"


def test_keys_of_every_kind_are_signed_with_by_the_agent(
    address: Address, bare_host: Host, agent: str, tmp_path: Path
) -> None:
    bare_host.root(["cp", "/root/.ssh/authorized_keys", "/root/.ssh/before"])
    try:
        for arguments in (["-t", "ed25519"], ["-t", "ecdsa"], ["-t", "rsa", "-b", "2048"]):
            path = made(tmp_path / arguments[1], *arguments)
            public = path.with_suffix(".pub").read_bytes()
            bare_host.root(["sh", "-c", "cat >> /root/.ssh/authorized_keys"], public)
            load(agent, path)
            (key,) = agent_keys(agent)
            assert public.decode().startswith(key.public_line)
            with Session(address, key) as session:
                assert session.alive
            subprocess.run(["ssh-add", "-qD"], env={"SSH_AUTH_SOCK": agent}, check=True, stderr=subprocess.DEVNULL)
    finally:
        bare_host.root(["mv", "/root/.ssh/before", "/root/.ssh/authorized_keys"])


def test_a_server_that_takes_none_of_the_keys_says_so_also_when_it_hangs_up(
    address: Address, agent: str, tmp_path: Path
) -> None:
    for number in range(8):
        load(agent, made(tmp_path / str(number), "-t", "ed25519"))
    keys = agent_keys(agent)
    with pytest.raises(AuthenticationRefused, match=r"any of these 2 keys") as refused, Session(address, *keys[:2]):
        pass
    assert keys[1].fingerprint in str(refused.value)
    with (
        pytest.raises(AuthenticationRefused, match=r"hung up after \d of 8 keys.*--bootstrap-key"),
        Session(address, *keys),
    ):
        pass


def test_an_agent_whose_owner_says_no_is_named(address: Address, bare_hosts: HostSet, agent: str) -> None:
    load(agent, bare_hosts.bootstrap_key, "-c")  # asks before it signs; here nobody is asked, which is a no
    with pytest.raises(AuthenticationRefused, match="ssh-agent did not sign"), Session(address, *agent_keys(agent)):
        pass


@pytest.mark.parametrize("said", [b"", b"\0\0\0\1\5", b"\0\0\0\5\14\0\0\0\1"])
def test_what_is_no_agent_is_said_to_be_none(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert agent_keys(str(path)) == []  # nobody listens yet
        listening.listen()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(agent_keys, str(path))
            connection, _ = listening.accept()
            with connection:
                connection.sendall(said)
            with pytest.raises(UnusableKey, match="does not say which keys"):
                asked.result(20)
    assert agent_keys("") == []


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh-agent of this test's own."""
    path = tmp_path / "agent"
    running = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < ends, "the agent does not start"
            time.sleep(0.02)
        yield str(path)
    finally:
        running.terminate()
        running.wait()


def load(agent: str, key: Path, *options: str) -> None:
    subprocess.run(["ssh-add", "-q", *options, str(key)], env={"SSH_AUTH_SOCK": agent}, check=True, capture_output=True)


def made(path: Path, *arguments: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(path), *arguments], check=True)
    return path
