"""A bare paramiko Transport: connected, its host key checked against the pinned one, authenticated.

SSHClient needs 7.4 round trips for this, a Transport with TCP_NODELAY 6.0 (measured against OpenSSH 9.2).
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import paramiko

from engine.ssh.errors import AuthenticationRefused, HostKeyMismatch, HostUnreachable, SSHError
from engine.ssh.keys import HostKey, PrivateKey

SILENCE = 15.0
"""Seconds after which a peer that says nothing, or acknowledges nothing, counts as gone."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, who we are there, and what it must prove to be."""

    host: str
    port: int
    user: str
    host_key: HostKey

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


def fetch_host_key(host: str, port: int = 22, *, timeout: float = 10.0) -> HostKey:
    """The key a server shows, before anybody trusts it: to be confirmed by a person. Raises HostUnreachable."""
    transport = _connect(host, port, timeout, None)
    try:
        return _shown_key(transport)
    finally:
        transport.close()


def open_transport(address: Address, key: PrivateKey, *, timeout: float) -> paramiko.Transport:
    """Connect, check, authenticate within `timeout` seconds.

    Raises HostUnreachable, HostKeyMismatch, AuthenticationRefused.
    """
    transport = _connect(address.host, address.port, timeout, address.host_key)
    try:
        shown = _shown_key(transport)
        if shown != address.host_key:
            raise HostKeyMismatch(
                f"{address.host}:{address.port}", pinned=address.host_key.fingerprint, shown=shown.fingerprint
            )
        with closing_after(transport, timeout):
            _authenticate(transport, address, key)
    except BaseException:
        transport.close()
        raise
    return transport


@contextlib.contextmanager
def closing_after(transport: paramiko.Transport, seconds: float) -> Iterator[None]:
    """Close the transport when the block takes longer: paramiko has waits that know no timeout (exec's reply)."""
    watchdog = threading.Timer(max(seconds, 0.001), transport.close)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _connect(host: str, port: int, timeout: float, pinned: HostKey | None) -> paramiko.Transport:
    try:
        sock = socket.create_connection((host, port), timeout=timeout)
    except OSError as error:
        raise _unreachable(host, port, f"({error.strerror or error})") from error
    _tune(sock)
    transport = paramiko.Transport(sock)
    transport.daemon = True
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = timeout
    transport.channel_timeout = timeout
    options = transport.get_security_options()
    # One pass over the bytes instead of cipher and MAC; OpenSSH has had it since 6.2.
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
    if pinned:
        options.key_types = pinned.algorithms
    try:
        with closing_after(transport, timeout):
            transport.start_client(timeout=timeout)
            if transport.is_active():
                return transport
    except paramiko.ssh_exception.IncompatiblePeer as error:
        transport.close()
        if pinned and "host key" in str(error):
            raise _mismatch(host, port, timeout, pinned) from error
        raise _unreachable(host, port, "(it shares no SSH algorithm with us)") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        raise _unreachable(host, port, f"as an SSH server should ({error or 'the connection was closed'})") from error
    transport.close()
    raise _unreachable(host, port, f"within {timeout:g} s")


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 5),
        ("TCP_KEEPINTVL", 3),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", int(SILENCE * 1000)),
    ):
        option = getattr(socket, name, None)  # not every system the portal may run on has all of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _shown_key(transport: paramiko.Transport) -> HostKey:
    try:
        shown = transport.get_remote_server_key()
    except paramiko.SSHException as error:
        raise HostUnreachable(f"The server showed no host key ({error}).") from error
    return HostKey(shown.get_name(), shown.get_base64())


def _mismatch(host: str, port: int, timeout: float, pinned: HostKey) -> SSHError:
    """The server has no key of the pinned type: say which one it has instead."""
    try:
        shown = fetch_host_key(host, port, timeout=timeout).fingerprint
    except SSHError as error:
        return error
    return HostKeyMismatch(f"{host}:{port}", pinned=pinned.fingerprint, shown=shown)


def _authenticate(transport: paramiko.Transport, address: Address, key: PrivateKey) -> None:
    try:
        left = transport.auth_publickey(address.user, key.pkey)
    except paramiko.AuthenticationException as error:
        raise AuthenticationRefused(
            f"{address.host} does not accept the key {key.fingerprint} for the user {address.user}.",
            hint=f"Run provision for this server, or put the public key into ~{address.user}/.ssh/authorized_keys.",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _unreachable(address.host, address.port, "during sign-in") from error
    if left:
        raise AuthenticationRefused(
            f"{address.host} wants more than a key from the user {address.user}: {', '.join(left)}.",
            hint="Allow publickey alone in the server's sshd_config for this user.",
        )


def _unreachable(host: str, port: int, detail: str) -> HostUnreachable:
    return HostUnreachable(
        f"{host}:{port} does not answer {detail}.",
        hint="Check that the server is switched on, its sshd runs, and its firewall lets us in.",
    )
