"""What is known of an environment's secrets without their values: versions, who set them, and where each is."""

from dataclasses import dataclass
from datetime import datetime

from deployments.core import selectors
from deployments.environments.secrets import MADE
from deployments.models import Environment, Secret, Server
from deployments.releases import artifacts
from engine.errors import PortalError


@dataclass(frozen=True)
class StoredSecret:
    """One name: its newest version and which servers have it; `version` is 0 where the release needs what is absent."""

    name: str
    version: int
    set_by: str
    set_at: datetime | None
    on: list[str]
    behind: list[str]
    """Provisioned servers that have another version, or none."""


def stored_secrets(environment: Environment) -> list[StoredSecret]:
    """By name: what is stored, and what the release that is live there, else the newest one, needs beside it."""
    newest: dict[str, Secret] = {}
    for row in Secret.objects.filter(environment=environment).defer("value").order_by("version"):
        newest[row.name] = row
    servers = [server for server in environment.servers.all() if server.state != Server.State.RETIRED]
    ready = [server for server in servers if server.state == Server.State.PROVISIONED]
    needed = needed_secrets(environment, {role for server in servers for role in server.roles})
    return [_shown(name, newest.get(name), ready) for name in sorted({*newest, *needed})]


def needed_secrets(environment: Environment, roles: set[str]) -> set[str]:
    """The names that these roles of the release ask people for; nothing while there is no release to read."""
    try:
        release = selectors.live_release(environment) or selectors.newest_release(environment.application)
        with artifacts.open_release(release) as reader:
            wanted = {role: {*one.secrets} for role, one in reader.deploy.roles.items() if role in roles}
            return set().union(*(names - {MADE.get(role)} for role, names in wanted.items()))
    except (PortalError, OSError):
        return set()


def _shown(name: str, newest: Secret | None, ready: list[Server]) -> StoredSecret:
    if newest is None:
        return StoredSecret(name, 0, "", None, [], [server.name for server in ready])
    on = [server.name for server in ready if server.secret_versions.get(name) == newest.version]
    behind = [server.name for server in ready if server.name not in on]
    return StoredSecret(name, newest.version, newest.created_by, newest.created_at, on, behind)
