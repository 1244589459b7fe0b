"""What can go wrong between us and a server's sshd.

SSHError                     the server could not be reached, or what runs there could not be heard
├── HostUnreachable          no TCP connection or no SSH banner in time (try again)
├── HostKeyMismatch          another key than the pinned one: a hard stop until a person has looked (permanent)
├── AuthenticationRefused    the server does not accept our key for this user (permanent)
├── LinkLost                 the connection died while something ran; what ran may still be running (try again)
│   └── Flooded              it said more than any program of ours does, and was cut off (permanent)
├── NotRun                   what we ask for is not run there, something else answers: nothing of ours began (permanent)
├── RemoteDeadline           a remote command took longer than it may (try again)
└── RemoteFailed             a remote command ended with another exit code than 0 (permanent)
"""

from engine.errors import PortalError


class SSHError(PortalError):
    """The server could not be reached, or what runs there could not be heard."""

    reason = "ssh_failed"
    http_status = 502
    permanent = False


class HostUnreachable(SSHError):
    """No TCP connection, or no SSH banner, in time."""

    reason = "host_unreachable"


class HostKeyMismatch(SSHError):
    """The server showed another key than the pinned one."""

    reason = "host_key_mismatch"
    permanent = True

    def __init__(self, where: str, *, pinned: str, shown: str) -> None:
        super().__init__(
            f"{where} showed the host key {shown}, but {pinned} is pinned; nothing was sent to it.",
            hint="Somebody may be between us and the server, or it was installed anew. Compare the fingerprint on its "
            "console; if it is right, confirm the new key by enrolling the server again.",
        )
        self.pinned = pinned
        self.shown = shown


class AuthenticationRefused(SSHError):
    """The server does not accept our key for this user."""

    reason = "authentication_refused"
    permanent = True


class LinkLost(SSHError):
    """The connection died while something ran there.

    What ran may still be running, or have finished: ask the server when it answers again.
    `last_seq` is the number of the last journal record that arrived (0: none).
    """

    reason = "link_lost"

    def __init__(self, message: str, *, hint: str = "", last_seq: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.last_seq = last_seq


class Flooded(LinkLost):
    """A server said more than any program of ours does, so the conversation was ended at our end."""

    reason = "flooded"
    permanent = True

    def __init__(self, host: str, what: str, size: int, lines: int, began: bytes) -> None:
        shown = "".join(letter if letter.isprintable() else "·" for letter in began.decode(errors="replace"))
        super().__init__(
            f"{host} sent {size:,} bytes ({lines:,} lines) while {what} ran, more than it may, and was not "
            f"listened to any longer. It began with: {shown}",
            hint="Look at the shell start files of the account on the server (.bashrc, .profile, /etc/profile.d): they "
            "must print nothing.",
        )


class NotRun(SSHError):
    """The server does not run what it is asked for: a forced command, or another shell, answers instead."""

    reason = "not_run"
    permanent = True

    def __init__(self, host: str, user: str, said: str) -> None:
        super().__init__(
            f"What {user} asks for is not run on {host}; instead the server says: {said or 'nothing'}",
            hint=f"Look for a ForceCommand that holds for {user} in the server's sshd_config, or a command= in its "
            "authorized_keys.",
        )


class RemoteDeadline(SSHError):
    """A remote command took longer than it may."""

    reason = "remote_deadline"


class RemoteFailed(SSHError):
    """A remote command ended with another exit code than 0.

    `remote_exit` is -1 when a signal ended it; `output` is the end of what it said, at most 2,000 characters.
    """

    reason = "remote_failed"
    permanent = True

    def __init__(self, message: str, *, remote_exit: int, output: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.remote_exit = remote_exit
        self.output = output
