"""How the agent is started, and brought to a server that does not have it."""

import hashlib
from functools import cache
from importlib import resources

from deployments.commands.remote_command import RemoteCommand
from deployments.host.pack import pack

MISSING = "agent_missing"
"""What a server answers that does not have this agent: {"kind": "agent_missing"}."""

PYTHON = ("/usr/bin/python3", "-I", "-S", "-B")

# Imported rather than run, so that Python takes the compiled form beside it when there is one: 0.1 s saved.
_LOADER = """\
import sys
sys.path.append(sys.argv[1])
try:
    agent = __import__(sys.argv[2])
except ModuleNotFoundError:
    print('{"kind": "agent_missing"}')
else:
    agent.main(sys.argv[3:])
"""

_INSTALLER = """\
import hashlib, os, sys
directory, digest = sys.argv[1:]
source = sys.stdin.buffer.read()
if hashlib.sha256(source).hexdigest() != digest:
    sys.exit("the agent was damaged on its way")
if not os.path.isdir(directory):
    sys.exit(directory + " does not exist: the server is not provisioned")
path = os.path.join(directory, "agent-" + digest + ".py")
with open(path + ".new", "wb") as file:
    file.write(source)
    file.flush()
    os.fsync(file.fileno())
os.rename(path + ".new", path)
folder = os.open(directory, os.O_RDONLY)
os.fsync(folder)
"""

_PROVISIONER = """\
import sys
size = int(sys.stdin.buffer.readline())
exec(compile(sys.stdin.buffer.read(size), "provision.py", "exec"), {"__name__": "__main__"})
"""


@cache
def source(name: str) -> bytes:
    """The text of a program that runs on servers, "agent" or "provision".

    Read once: a portal that is being updated under our feet must not send a text under another one's digest.
    """
    return pack(resources.files("deployments.host") / name)


@cache
def agent_digest() -> str:
    """sha256 of the agent, which is part of its name on servers."""
    return hashlib.sha256(source("agent")).hexdigest()


def deploy_directory(name: str) -> str:
    """Where the agent and its records lie on a server."""
    return f"/opt/{name}/.deploy"


def agent_command(name: str, verb: str) -> RemoteCommand:
    """Start the agent of a release tree; the request goes over standard input."""
    return RemoteCommand((*PYTHON, "-c", _LOADER, deploy_directory(name), f"agent-{agent_digest()}", verb))


def install_command(name: str) -> RemoteCommand:
    """Put the agent, which comes over standard input, where `agent_command` finds it."""
    return RemoteCommand((*PYTHON, "-c", _INSTALLER, deploy_directory(name), agent_digest()))


def provision_command(*, sudo: bool) -> RemoteCommand:
    """Start the provisioning interpreter, which comes over standard input with its request behind it."""
    become_root = ("/usr/bin/sudo", "-n") if sudo else ()
    return RemoteCommand((*become_root, "/usr/bin/python3", "-I", "-B", "-c", _PROVISIONER))
