"""Who listens, by what the kernel and the processes say, on this very machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.host.provision.listeners import Listener, listeners, shut_out, sign_in_ports


@pytest.mark.parametrize(
    ("family", "address", "seen"),
    [
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET, "127.0.0.1", False),
        (socket.AF_INET, "127.0.0.53", False),
        (socket.AF_INET6, "::1", False),
        (socket.AF_INET6, "::", True),
    ],
)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_others_can_reach_is_listed_and_loopback_is_not(
    family: socket.AddressFamily, address: str, seen: bool, kind: socket.SocketKind
) -> None:
    with socket.socket(family, kind) as listening:
        listening.bind((address, 0))
        if kind == socket.SOCK_STREAM:
            listening.listen()
        port = listening.getsockname()[1]
        protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
        own = Path("/proc/self/comm").read_text().strip()
        assert (Listener(protocol, port, own) in listeners()) is seen


def test_the_way_in_is_known_although_sudo_takes_the_variable_away() -> None:
    ask = "from engine.host.provision.listeners import sign_in_ports; print(sign_in_ports([], ''))"
    inner = ["/usr/bin/env", "-i", sys.executable, "-c", ask]
    outer = [sys.executable, "-c", f"import subprocess; subprocess.run({inner!r}, check=True)"]
    environment = {**os.environ, "SSH_CONNECTION": "10.0.0.9 50022 10.0.0.1 2022"}
    said = subprocess.run(outer, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "{2022}"


def test_every_sshd_and_a_socket_that_systemd_holds_for_it_is_a_way_in() -> None:
    there = [Listener("tcp", 22, "sshd"), Listener("tcp", 80, "nginx"), Listener("tcp", 2022, "dropbear")]
    sockets = "Listen=[::]:2222 (Stream)\nListen=0.0.0.0:2223 (Stream)\n\nListen=/run/x.sock (Stream)\n"
    assert sign_in_ports(there, sockets) >= {22, 2022, 2222, 2223}
    assert 80 not in sign_in_ports(there, sockets)


def test_what_strict_rules_would_close_is_named() -> None:
    there = [Listener("tcp", 22, "sshd"), Listener("tcp", 80, "nginx"), Listener("udp", 68, "dhclient")]
    there += [Listener("udp", 546, "dhclient"), Listener("udp", 22, "odd")]
    assert [str(listener) for listener in shut_out(there, {22})] == ["80/tcp (nginx)", "22/udp (odd)"]
