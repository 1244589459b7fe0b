"""What can go wrong in the CyTube sandbox.

SandboxError
├── NotRunning        the server was asked for something before start() or after stop()
├── UnknownName       a hook named somebody who is not in the room
└── ViewerError       raised by the test client
    ├── NoAnswer      a wait reached its deadline
    ├── JoinRefused   the server said no to joinChannel
    └── LoginRefused  the server said no to login
"""


class SandboxError(Exception):
    """Base of every error here.

    ``reason`` is what happened and ``hint`` what to do about it; ``str()`` gives both.
    """

    def __init__(self, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{reason} {hint}".strip())
        self.reason = reason
        self.hint = hint


class NotRunning(SandboxError):
    """The server is not listening."""


class UnknownName(SandboxError):
    """Nobody of that name is in the room."""


class ViewerError(SandboxError):
    """The test client could not do what it was asked."""


class NoAnswer(ViewerError):
    """Nothing that matches arrived before the deadline."""


class JoinRefused(ViewerError):
    """The server answered joinChannel with a refusal."""


class LoginRefused(ViewerError):
    """The server answered login with a refusal."""
