"""How the agent is started, and brought to a server that does not have it."""

import hashlib
from functools import cache
from importlib import resources

from engine.commands.remote_command import RemoteCommand
from engine.host.pack import pack

MISSING = "agent_missing"
"""What a server answers that does not have this agent: {"kind": "agent_missing"}."""

PYTHON = ("/usr/bin/python3", "-I", "-S", "-B")


@cache
def program(name: str) -> str:
    """The text of a short program of `host/programs`, for `python3 -c`."""
    return (resources.files("engine.host") / "programs" / f"{name}.py").read_text()


@cache
def source(name: str, entry: str = "__main__") -> bytes:
    """The text of a program that runs on servers: "agent", "provision", or its `units_program`, which stays there.

    Read once: a portal that is being updated under our feet must not send a text under another one's digest.
    """
    return pack(resources.files("engine.host") / name, entry)


@cache
def agent_digest() -> str:
    """sha256 of the agent, which is part of its name on servers."""
    return hashlib.sha256(source("agent")).hexdigest()


def deploy_directory(name: str) -> str:
    """Where the agent and its records lie on a server."""
    return f"/opt/{name}/.deploy"


def agent_command(name: str, verb: str) -> RemoteCommand:
    """Start the agent of a release tree; the request goes over standard input."""
    return RemoteCommand((*PYTHON, "-c", program("loader"), deploy_directory(name), f"agent-{agent_digest()}", verb))


def install_command(name: str) -> RemoteCommand:
    """Put the agent, which comes over standard input, where `agent_command` finds it."""
    return RemoteCommand((*PYTHON, "-c", program("installer"), deploy_directory(name), agent_digest()))


def provision_command() -> RemoteCommand:
    """Start the provisioning interpreter, which comes over standard input with its request behind it; as root."""
    return RemoteCommand(("/usr/bin/python3", "-I", "-B", "-c", program("provisioner")))
