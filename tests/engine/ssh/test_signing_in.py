"""A server of paramiko's own that takes its time over a sign-in."""

import socket
import threading

import paramiko.common
import pytest

from engine.ssh.address import Address
from engine.ssh.errors import HostUnreachable
from engine.ssh.keys import HostKey, PrivateKey, generate_key
from engine.ssh.session import Session


class Pensive(paramiko.ServerInterface):
    """Says nothing about a key until it is told to."""

    def __init__(self) -> None:
        self.told = threading.Event()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.told.wait(30)
        return int(paramiko.common.AUTH_FAILED)


def test_a_sign_in_that_is_not_answered_in_time_is_no_refusal() -> None:
    pensive, host_key = Pensive(), PrivateKey(generate_key("server")[0]).pkey
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        address = Address("127.0.0.1", port, "rosey", HostKey(host_key.get_name(), host_key.get_base64()))

        def serve() -> None:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(host_key)
            transport.start_server(server=pensive)
            pensive.told.wait(30)
            transport.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                pytest.raises(HostUnreachable, match=r"did not end the sign-in of rosey within 3 s") as refusal,
                Session(address, PrivateKey(generate_key("tests")[0]), connect_timeout=3),
            ):
                pass
        finally:
            pensive.told.set()
            thread.join(30)
    assert "UseDNS no" in refusal.value.hint
