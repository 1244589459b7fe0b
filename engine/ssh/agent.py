"""Keys that an ssh-agent holds: it signs with them, and they stay where they are.

Only an account that a person signs in with once may use them: deployments have a key of their own, and no agent is
ever forwarded.
"""

import socket
import weakref

import paramiko

from engine.ssh.keys import PrivateKey, UnusableKey
from engine.ssh.signatures import SIGNING_SECONDS

LISTING_SECONDS = 10.0


class AgentKey(PrivateKey):
    """A key of an agent, which may ask its owner before it signs."""

    def __init__(self, key: paramiko.AgentKey) -> None:
        self._key = key


def agent_keys(path: str) -> list[AgentKey]:
    """What the agent that listens on the socket `path` (SSH_AUTH_SOCK) holds; nothing where none does.

    Raises UnusableKey for one that does not answer as an agent.
    """
    if not path:
        return []
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LISTING_SECONDS)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return []
    agent = paramiko.agent.AgentSSH()
    weakref.finalize(agent, connection.close)  # with the last of its keys
    try:
        agent._connect(connection)  # type: ignore[attr-defined]  # paramiko.Agent() itself would wait for ever
        if not all(key.get_name() for key in agent.get_keys()):  # paramiko reads zeros where a list is cut off
            raise ValueError("a key of no kind")
    except (paramiko.SSHException, OSError, EOFError, ValueError, IndexError) as error:
        raise UnusableKey(
            f"The ssh-agent on {path} does not say which keys it has ({error or type(error).__name__}).",
            hint="Name a key with --bootstrap-key, or unset SSH_AUTH_SOCK.",
        ) from error
    connection.settimeout(SIGNING_SECONDS)
    return [AgentKey(key) for key in agent.get_keys()]
