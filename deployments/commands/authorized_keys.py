"""Letting a public key in on a server, and taking one out, as the account itself: no root is needed."""

from deployments.commands.agent import PYTHON
from deployments.commands.remote_command import RemoteCommand

# Prints whether anything had to be changed. Comments are no keys; other people's lines stay as they are.
_EDITOR = """\
import os, pwd, sys
verb, key = sys.argv[1:]
path = os.path.realpath(os.path.join(pwd.getpwuid(os.getuid()).pw_dir, ".ssh", "authorized_keys"))
with open(path, encoding="utf-8", errors="surrogateescape") as file:
    lines = file.read().splitlines()
ours = [line for line in lines if key.split()[1] in line.split() and not line.lstrip().startswith("#")]
if bool(ours) == (verb == "let_in"):
    sys.exit(print("unchanged"))
kept = [line for line in lines if line not in ours] + ([key] if verb == "let_in" else [])
with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
          encoding="utf-8", errors="surrogateescape") as file:
    file.write("".join(line + "\\n" for line in kept))
    file.flush()
    os.fsync(file.fileno())
os.rename(path + ".new", path)
os.fsync(os.open(os.path.dirname(path), os.O_RDONLY))
print("changed")
"""

CHANGED = b"changed\n"
"""What the editor says when it had something to do."""


def let_in_command(public_key: str) -> RemoteCommand:
    """Add the line of a key to authorized_keys of whoever runs it; the file is never without the other lines."""
    return RemoteCommand((*PYTHON, "-c", _EDITOR, "let_in", public_key))


def take_out_command(public_key: str) -> RemoteCommand:
    """Remove every line that lets a key in."""
    return RemoteCommand((*PYTHON, "-c", _EDITOR, "take_out", public_key))
