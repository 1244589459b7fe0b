"""Opening a session to a server as its record, or a snapshot of it, says."""

from typing import Any

from deployments.errors import InvalidRequest
from deployments.models import Environment, Server
from deployments.remote import AgentClient
from deployments.ssh.keys import HostKey, PrivateKey
from deployments.ssh.session import Session
from deployments.ssh.transport import Address


def private_key_of(environment: Environment) -> PrivateKey:
    """The environment's deployment key. Raises InvalidRequest when none was made yet."""
    if not environment.private_key:
        raise InvalidRequest(f"{environment} has no SSH key yet.", hint="`manage.py enroll` makes one.")
    return PrivateKey(environment.private_key)


def address_of(server: Server) -> Address:
    """Where the server is, by its record."""
    return Address(server.host, server.port, server.user, HostKey.parse(server.host_key))


def open_session(server: Server) -> Session:
    """A session as the deployment user; use it as a context manager."""
    return Session(address_of(server), private_key_of(server.environment))


def open_target(environment: Environment, target: dict[str, Any]) -> Session:
    """A session to a target as the snapshot sealed it: address and host key of the request, nothing newer."""
    address = Address(target["host"], target["port"], target["user"], HostKey.parse(target["host_key"]))
    return Session(address, private_key_of(environment))


def agent(session: Session, application: str) -> AgentClient:
    """The agent of one application on the other end of `session`."""
    return AgentClient(session, application)
