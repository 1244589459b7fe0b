"""A remote command as a value."""

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RemoteCommand:
    """An argument list for a server's shell. `line` is quoted; nothing in `argv` can become anything but an argument.

    Secrets never travel in an argument list: they go over standard input.
    """

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.argv or any("\0" in part for part in self.argv):
            raise ValueError("a remote command needs a program, and no NUL bytes")

    @property
    def line(self) -> str:
        """The exact text for the remote shell."""
        return shlex.join(self.argv)

    def __str__(self) -> str:
        return self.line
