"""What it means that a remote program ended and said no result: it was killed, or the server runs something else."""

import secrets

from engine.commands.remote_command import RemoteCommand
from engine.ssh.conversation import Conversation
from engine.ssh.errors import LinkLost, NotRun, SSHError
from engine.ssh.session import Session

_SHOWN = 2000  # characters of what was said


def silent_end(session: Session, conversation: Conversation, verb: str) -> SSHError:
    """LinkLost for an agent that was killed, or could not even start; NotRun where another program answers.

    A server with a forced command has it for the whole connection: then nothing of ours began. Raises LinkLost.
    """
    said = (conversation.stderr + conversation.beside).decode(errors="replace").strip()[-_SHOWN:]
    host, user = session.address.host, session.address.user
    if not conversation.spoke and not _runs_what_is_asked(session):
        return NotRun(host, user, said)
    return LinkLost(
        f"The agent on {host} ended during '{verb}' without a result" + (f": {said}" if said else "."),
        hint="It is asked again what is true.",
    )


def _runs_what_is_asked(session: Session) -> bool:
    """Whether the server can add two numbers that it never saw."""
    one, other = (secrets.randbelow(1 << 30) for _ in range(2))
    asked = RemoteCommand(("/usr/bin/expr", str(one), "+", str(other)))
    return str(one + other).encode() in session.run(asked, check=False, what="an addition").stdout
