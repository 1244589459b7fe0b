"""An authenticated connection to one server."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from engine.ssh.address import Address
from engine.ssh.conversation import Command, Conversation, OutputCount
from engine.ssh.errors import LinkLost, RemoteFailed
from engine.ssh.keys import PrivateKey
from engine.ssh.transport import closing_after, open_transport

_SHOWN = 2000  # characters of output in an error
_ONE_BY_ONE = 2.0  # s in which a server sees the end of a command
_LATELY, _NOT_LONG_AGO = 2.0, 30.0
"""Seconds in which what was begun needs no other proof that its server is there, and in which it can be taken over."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A remote command that has ended; `exit` is -1 when a signal ended it."""

    exit: int
    stdout: bytes
    stderr: bytes


class Session:
    """A connection on which remote commands run, several at a time if need be (sshd allows ten).

    `with Session(address, key) as session:` connects; several keys are tried in their order. No agent is asked, no keys
    but these are offered, no host key but the pinned one is believed. `jump_key` opens the jump host of the address, or
    else the first key does. Raises HostUnreachable, HostKeyMismatch or AuthenticationRefused on entering; times are
    seconds. What is said while `heard` is set is counted there too.
    """

    def __init__(
        self,
        address: Address,
        *keys: PrivateKey,
        jump_key: PrivateKey | None = None,
        connect_timeout: float = 10.0,
    ) -> None:
        self.address = address
        self._keys, self._jump_key = keys, jump_key
        self._connect_timeout = connect_timeout
        self._transport: paramiko.Transport | None = None
        self._ready: list[paramiko.Channel] = []  # the one that a probe has opened
        self._begun: tuple[str, Conversation, float] | None = None
        self.heard: OutputCount | None = None
        self.sudo_password = ""  # where sudo asks this account for one

    def __enter__(self) -> Self:
        self._transport = open_transport(
            self.address, self._keys, timeout=self._connect_timeout, jump_key=self._jump_key
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; what still runs remotely goes on."""
        if self._transport is not None:
            self._transport.close()

    @property
    def alive(self) -> bool:
        """Whether the connection stands as far as we know."""
        return self._transport is not None and self._transport.is_active()

    def begin(self, command: Command, *, what: str = "the remote command") -> None:
        """Start a command that comes up and waits for its input; `converse` with the same one takes it over.

        After half a minute, and for another command, `converse` ends its input instead. Raises LinkLost.
        """
        before, conversation = self._begun, self.converse(command, what=what)
        since = before[2] if before is not None and before[1] is conversation else time.monotonic()
        self._begun = command.line, conversation, since

    def probe(self, *, timeout: float = 2.0) -> None:
        """One round trip to the server's sshd and back, within `timeout` seconds. Raises LinkLost.

        What it opened is used by the conversation that comes next, which then needs no round trip of its own for that.
        A transport does not notice that its peer is gone (measured: a stopped sshd still looked active after 8 s).
        A command that was begun just now needs no other proof.
        """
        if self._transport is None or not self._transport.is_active():
            raise LinkLost(f"The connection to {self.address} is closed.")
        if self._was_begun(within=_LATELY):
            return
        try:
            with closing_after(self._transport, timeout):
                self._ready = [self._transport.open_session(timeout=timeout)]
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkLost(f"{self.address} does not answer any more.") from error

    def converse(self, command: Command, *, what: str = "the remote command") -> Conversation:
        """Start a command and stay in touch with it. Raises LinkLost."""
        if self._transport is None or not self._transport.is_active():
            raise LinkLost(f"The connection to {self.address} is closed.")
        if self._begun is not None:
            (line, conversation, _), fresh, self._begun = self._begun, self._was_begun(within=_NOT_LONG_AGO), None
            if fresh and line == command.line:
                conversation.heard = self.heard or conversation.heard
                return conversation
            conversation.close()
        try:
            with closing_after(self._transport, self._connect_timeout):
                channel = self._channel(self._transport)
                _execute(self._transport, channel, command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise LinkLost(f"{self.address} did not start {what} ({error or 'connection closed'}).") from error
        return Conversation(self._transport, channel, what, self.address.host, self.heard)

    def _was_begun(self, *, within: float) -> bool:
        return self._begun is not None and time.monotonic() - self._begun[2] < within

    def _channel(self, transport: paramiko.Transport) -> paramiko.Channel:
        try:
            return self._ready.pop()
        except IndexError:
            return _opened(transport, self._connect_timeout)

    def run(
        self,
        command: Command,
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: float = 30.0,
        check: bool = True,
        what: str = "the remote command",
    ) -> Completed:
        """Run a command to its end, within `deadline` seconds.

        Raises RemoteFailed for another exit code than 0 (unless `check` is False), RemoteDeadline (what runs there
        survives it: commands that may hang bring their own limit), LinkLost.
        """
        with self.converse(command, what=what) as conversation:
            conversation.send((stdin,) if isinstance(stdin, bytes) else stdin)
            conversation.end_input()
            stdout = conversation.everything(deadline=deadline)
            done = Completed(conversation.exit_code(), stdout, conversation.stderr)
        if check and done.exit != 0:
            said = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace")[-_SHOWN:]
            raise RemoteFailed(
                f"{what[0].upper()}{what[1:]} failed on {self.address.host} with exit code {done.exit}"
                + (f": {said}" if said else "."),
                remote_exit=done.exit,
                output=said,
            )
        return done


def _opened(transport: paramiko.Transport, timeout: float) -> paramiko.Channel:
    """A channel; with `MaxSessions 1` the server opens none until it has seen the end of the one before."""
    ends = time.monotonic() + _ONE_BY_ONE
    while True:
        try:
            return transport.open_session(timeout=timeout)
        except paramiko.ChannelException:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


def _execute(transport: paramiko.Transport, channel: paramiko.Channel, command: Command) -> None:
    """Ask for a command (RFC 4254 section 6.5) without waiting for the answer: a round trip less than exec_command.

    paramiko closes the channel when the answer is no, which the conversation notices.
    """
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(True)
    message.add_string(command.line.encode())
    transport._send_user_message(message)  # type: ignore[attr-defined]  # what exec_command itself calls; unlisted
