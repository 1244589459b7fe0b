"""Who listens on a port, as the kernel tells it."""

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from engine.host.agent import sockets
from engine.host.agent.sockets import listener, owns_port

CGROUP = 21


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def attribute(kind: int, content: bytes) -> bytes:
    """As the kernel writes one: its length, its kind, and up to four bytes' boundary nothing."""
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (attribute(CGROUP, struct.pack("=Q", 1 << 40)), 1 << 40),
        (attribute(8, b"x") + attribute(CGROUP, struct.pack("=Q", 7)) + attribute(9, b""), 7),
        (attribute(CGROUP, b"1234") + attribute(CGROUP, struct.pack("=Q", 7)), 7),
        (attribute(8, struct.pack("=Q", 7)), 0),
        (struct.pack("=HH", 0, 8) + attribute(CGROUP, struct.pack("=Q", 7)), 7),
        (b"", 0),
    ],
)
def test_of_what_the_kernel_says_about_a_socket_its_cgroup_is_found(data: bytes, value: int) -> None:
    assert sockets._attribute(data, CGROUP) == value


def test_a_port_belongs_to_whom_its_process_runs_as(port: int) -> None:
    found = listener(port)
    assert found is not None
    assert found[0] == os.getuid()
    assert owns_port(port, [{"MainPID": "0"}, {"MainPID": str(os.getpid())}], ["a.service"])
    assert owns_port(port, [{"MainPID": "0"}], ["a.service"]) is False
    assert owns_port(port, [{"MainPID": "0"}], ["a.socket"]) is (os.getuid() == 0), "systemd opened it"


def test_where_nobody_listens_it_is_nobodys(port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and does not listen
        assert listener(free.getsockname()[1]) is None
        assert owns_port(free.getsockname()[1], [{"MainPID": str(os.getpid())}], ["a.service"]) is None
