"""The firewall by the product's own command, on a real server that the portal reaches through a port forward."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from deployments.models import AuditEvent, Server
from tests.fixtures.fleet import Fleet, make_ready, setup_for
from tests.stories.saying import said

pytestmark = pytest.mark.hosts


@contextmanager
def relay(host: str, port: int) -> Iterator[int]:
    """A port of this machine's loopback that leads to another machine's, as `ssh -L` or a router would."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, port), timeout=10) as far:
                far.settimeout(None)
                back = threading.Thread(target=pump, args=(far, self.request), daemon=True)
                back.start()
                pump(self.request, far)
                back.join(10)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(1 << 16):
                sink.sendall(block)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Threads(("127.0.0.1", 0), Forward) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


def reachable(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def forwarded(fleet: Fleet) -> Iterator[Fleet]:
    """`dice-1` as a record that knows its machine by a forwarded port only; provisioned as ever afterwards."""
    fleet.enrol()
    fleet.release("1.0.0")
    machine = fleet.machines[0]
    with relay(machine.address, 22) as port:
        Server.objects.filter(name="dice-1").update(host="127.0.0.1", port=port)
        yield fleet
    make_ready(fleet.provisioned.hosts, machine, setup_for(fleet.provisioned.hosts, fleet.provisioned.public_key))


def provision(fleet: Fleet, *options: str) -> str:
    code, words = said("provision", "dice-1", "--bootstrap-key", str(fleet.provisioned.hosts.bootstrap_key), *options)
    assert code == 0, words
    return words


def test_strict_is_planned_by_name_confirmed_recorded_and_given_up_again(forwarded: Fleet) -> None:
    machine = forwarded.machines[0]
    machine.root(["systemd-run", "-q", "--unit=site", "python3", "-m", "http.server", "8300", "--bind", "0.0.0.0"])
    try:
        provision(forwarded)
        assert not forwarded.server().strict_firewall
        assert reachable(machine.address, 22)
        planned = provision(forwarded, "--firewall", "strict", "--plan")
        assert "Open to everybody: 22." in planned
        assert "8300/tcp (python3)" in planned
        assert not forwarded.server().strict_firewall
        provision(forwarded, "--firewall", "strict")
        assert forwarded.server().strict_firewall
        assert AuditEvent.objects.filter(name="server.provisioned").latest("pk").data["firewall"] == "strict"
        assert [port for port in (22, 8300) if reachable(machine.address, port)] == [22]
        assert "as it should be" in provision(forwarded), "what is recorded holds"
        assert "No other port is closed any more." in provision(forwarded, "--firewall", "own")
        assert reachable(machine.address, 8300)
        assert not forwarded.server().strict_firewall
    finally:
        machine.root(["systemctl", "stop", "site"], check=False)
