"""A bare paramiko Transport: connected, its host key checked against the pinned one, authenticated.

SSHClient needs 7.4 round trips for this, a Transport with TCP_NODELAY 6.0 (measured against OpenSSH 9.2).
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import paramiko

from engine.ssh.address import Address, place
from engine.ssh.agent import AgentKey
from engine.ssh.errors import AuthenticationRefused, HostKeyMismatch, HostUnreachable, SSHError
from engine.ssh.keys import HostKey, PrivateKey
from engine.ssh.signatures import SIGNING_SECONDS

SILENCE = 15.0
"""Seconds after which a peer that says nothing, or acknowledges nothing, counts as gone."""
_PROHIBITED = 1  # RFC 4254 section 5.1: SSH_OPEN_ADMINISTRATIVELY_PROHIBITED


def fetch_host_key(
    host: str, port: int = 22, *, timeout: float = 10.0, through: tuple[Address, PrivateKey] | None = None
) -> HostKey:
    """The key a server shows, before anybody trusts it: to be confirmed by a person; `through` is a jump host, entered.

    Raises HostUnreachable, and what `open_transport` does of a jump host.
    """
    transport = _connect(_Way(host, port, through), timeout, None)
    try:
        return _shown_key(transport)
    finally:
        transport.close()


def open_transport(
    address: Address, keys: Sequence[PrivateKey], *, timeout: float, jump_key: PrivateKey | None = None
) -> paramiko.Transport:
    """Connect, check, authenticate, each within `timeout` seconds; the owner of an agent's key may take longer.

    A jump host is entered with `jump_key`, or else the first of `keys`.

    Raises HostUnreachable, HostKeyMismatch, AuthenticationRefused.
    """
    through = (address.jump, jump_key or keys[0]) if address.jump else None
    transport = _connect(_Way(address.host, address.port, through), timeout, address.host_key)
    try:
        shown = _shown_key(transport)
        if shown != address.host_key:
            raise HostKeyMismatch(
                f"{address.host}:{address.port}", pinned=address.host_key.fingerprint, shown=shown.fingerprint
            )
        _authenticate(transport, address, keys, timeout)
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


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a connection goes, and what it goes through."""

    host: str
    port: int
    through: tuple[Address, PrivateKey] | None

    def dial(self, timeout: float) -> "socket.socket | _Through":
        if self.through is not None:
            return _through(*self.through, self.host, self.port, timeout)
        try:
            sock = socket.create_connection((self.host, self.port), timeout=timeout)
        except OSError as error:
            raise self.unreachable(f"({error.strerror or error})") from error
        except UnicodeError as error:  # what no name server could be asked for: a label too long, or empty
            raise self.unreachable("(it is no host name)") from error
        _tune(sock)
        return sock

    def unreachable(self, detail: str) -> HostUnreachable:
        return _unreachable(self.host, self.port, detail)


class _Through:
    """A channel through a jump host, as a socket; the connection to the jump host ends with it."""

    def __init__(self, channel: paramiko.Channel, outer: paramiko.Transport) -> None:
        self._channel, self._outer = channel, outer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def close(self) -> None:
        self._outer.close()  # with all its channels, and also when it is gone: closing the channel would send


def _through(jump: Address, key: PrivateKey, host: str, port: int, timeout: float) -> _Through:
    """Raises what `open_transport` does, of the jump host and by its name."""
    try:
        outer = open_transport(jump, [key], timeout=timeout)
    except SSHError as error:
        error.message = f"The jump host {jump} lets nobody through: {error.message}"
        if isinstance(error, AuthenticationRefused):
            line = f'restrict,port-forwarding,permitopen="{place(host, port)}" {key.public_line}'
            error.message += f" Have this line in ~{jump.user}/.ssh/authorized_keys there: {line}"
            error.hint = ""
        raise
    try:
        return _Through(outer.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout), outer)
    except (paramiko.SSHException, OSError, EOFError) as error:
        outer.close()
        if isinstance(error, paramiko.ChannelException) and error.code == _PROHIBITED:
            raise HostUnreachable(
                f"The jump host {jump} does not let us through to {place(host, port)}.",
                hint=f'Let its sshd forward TCP, and permitopen="{place(host, port)}" stand in authorized_keys there.',
            ) from error
        raise HostUnreachable(
            f"{place(host, port)} does not answer the jump host {jump} ({error}).",
            hint="Check that the server is switched on, its sshd runs, and its firewall lets the jump host in.",
        ) from error


def _connect(way: _Way, timeout: float, pinned: HostKey | None) -> paramiko.Transport:
    sock = way.dial(timeout)
    transport = paramiko.Transport(sock)  # type: ignore[arg-type]  # it takes whatever receives and sends
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
            raise _mismatch(way, timeout, pinned) from error
        raise way.unreachable("(it shares no SSH algorithm with us)") from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        transport.close()
        raise way.unreachable(f"as an SSH server should ({error or 'the connection was closed'})") from error
    transport.close()
    raise way.unreachable(f"within {timeout:g} s")


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


def _mismatch(way: _Way, timeout: float, pinned: HostKey) -> SSHError:
    """The server has no key of the pinned type: say which one it has instead."""
    try:
        shown = fetch_host_key(way.host, way.port, timeout=timeout, through=way.through).fingerprint
    except SSHError as error:
        return error
    return HostKeyMismatch(f"{way.host}:{way.port}", pinned=pinned.fingerprint, shown=shown)


def _authenticate(transport: paramiko.Transport, address: Address, keys: Sequence[PrivateKey], timeout: float) -> None:
    for tried, key in enumerate(keys, start=1):
        signing_timeout = SIGNING_SECONDS if isinstance(key, AgentKey) else timeout
        transport.auth_timeout = signing_timeout
        ends = time.monotonic() + signing_timeout
        try:
            with closing_after(transport, signing_timeout):
                left = transport.auth_publickey(address.user, key.pkey)
        except paramiko.AuthenticationException as error:
            if time.monotonic() >= ends:  # it was not refused: nothing was said
                raise _late(address, signing_timeout) from error
            if tried < len(keys) and transport.is_active():
                continue
            raise _refused(address, keys, tried) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if isinstance(key, AgentKey) and str(error) == "key cannot be used for signing":  # paramiko's words
                raise AuthenticationRefused(
                    f"The ssh-agent did not sign with {key.fingerprint}, so nobody signed in to {address.host}.",
                    hint="Confirm it when the agent asks, or name another key with --bootstrap-key.",
                ) from error
            raise _unreachable(address.host, address.port, "during sign-in") from error
        if left:
            raise AuthenticationRefused(
                f"{address.host} wants more than a key from the user {address.user}: {', '.join(left)}.",
                hint="Allow publickey alone in the server's sshd_config for this user.",
            )
        return


def _late(address: Address, signing_timeout: float) -> HostUnreachable:
    return HostUnreachable(
        f"{address.host}:{address.port} did not end the sign-in of {address.user} within {signing_timeout:g} s.",
        hint="Its sshd may wait for a name server that does not answer: set `UseDNS no` in the server's sshd_config, "
        "and have /etc/resolv.conf name one that does.",
    )


def _refused(address: Address, keys: Sequence[PrivateKey], tried: int) -> AuthenticationRefused:
    """None of the keys that were offered is let in; sshd hangs up after a few (MaxAuthTries)."""
    if tried < len(keys):
        return AuthenticationRefused(
            f"{address.host} hung up after {tried} of {len(keys)} keys, none of which it accepts for {address.user}.",
            hint="Name the one that it accepts: --bootstrap-key FILE, or FILE.pub for one that the ssh-agent holds.",
        )
    which = f"the key {keys[0].fingerprint}" if tried == 1 else f"any of these {tried} keys"
    listed = "" if tried == 1 else f" ({', '.join(key.fingerprint for key in keys)})"
    return AuthenticationRefused(
        f"{address.host} does not accept {which} for the user {address.user}{listed}.",
        hint="Run provision for this server, with an account and a key that it lets in (--bootstrap-user, "
        f"--bootstrap-key), or put the public key into ~{address.user}/.ssh/authorized_keys.",
    )


def _unreachable(host: str, port: int, detail: str) -> HostUnreachable:
    return HostUnreachable(
        f"{host}:{port} does not answer {detail}.",
        hint="Check that the server is switched on, its sshd runs, and its firewall lets us in.",
    )
