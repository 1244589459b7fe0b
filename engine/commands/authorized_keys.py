"""Letting a public key in on a server, and taking one out, as the account itself: no root is needed."""

from engine.commands.agent import PYTHON, program
from engine.commands.remote_command import RemoteCommand

CHANGED = b"changed\n"
"""What the editor says when it had something to do."""


def let_in_command(public_key: str) -> RemoteCommand:
    """Add the line of a key to authorized_keys of whoever runs it; the file is never without the other lines."""
    return RemoteCommand((*PYTHON, "-c", program("authorized_keys"), "let_in", public_key))


def take_out_command(public_key: str) -> RemoteCommand:
    """Remove every line that lets a key in."""
    return RemoteCommand((*PYTHON, "-c", program("authorized_keys"), "take_out", public_key))
