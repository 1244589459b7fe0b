"""What comes next for a server that was enrolled or made ready, by what is still missing."""

from deployments.environments.secrets import newest_secrets
from deployments.models import AuditEvent, Release, Server
from deployments.releases import artifacts

WATCHING = frozenset({"portal", "monitoring"})
"""Roles whose servers ask bots how they are: a bot's firewall lets them in by their addresses."""
_LOOKED_AT = 50


def to_provision_again(watcher: Server) -> list[Server]:
    """Servers whose firewall does not let this one in yet: made ready before it was known as one that asks."""
    since = _known_since(watcher)
    if since is None:
        return []
    rows = Server.objects.filter(state=Server.State.PROVISIONED, provisioned_at__lt=since.at)
    return [row for row in rows.exclude(pk=watcher.pk).order_by("order", "name") if "bot" in row.roles]


def after_provisioning(server: Server, release: Release) -> str:
    """The commands that come next, as one sentence."""
    steps = [f"manage.py {step}" for step in [*_again(server), *_missing(server, release)]]
    if server.current_release is None:
        steps.append(f"manage.py deploy {server.environment}")
    return f"Next: {', then '.join(steps or [f'manage.py verify {server.environment}'])}."


def after_enrolling(watcher: Server) -> str:
    """Which servers have to be provisioned again; "" where none has to."""
    again = to_provision_again(watcher)
    if not again:
        return ""
    names = ", ".join(row.name for row in again)
    whose = "its firewall lets" if len(again) == 1 else "their firewalls let"
    commands = ", ".join(f"manage.py provision {row.name}" for row in again)
    return f"Provision {names} again too: {whose} {watcher.name} in only then ({commands})."


def _again(server: Server) -> list[str]:
    return [f"provision {row.name}" for row in to_provision_again(server)]


def _missing(server: Server, release: Release) -> list[str]:
    """Secrets that a deployment would miss."""
    with artifacts.open_release(release) as reader:
        ours = [described for role, described in reader.deploy.roles.items() if role in server.roles]
        wanted = sorted({name for described in ours for name in described.secrets})
    there = {*server.secret_versions, *(secret.name for secret in newest_secrets(server.environment))}
    return [f"set_secret {server.environment} {name}" for name in wanted if name not in there]


def _known_since(watcher: Server) -> AuditEvent | None:
    """The event by which it became one that asks, at the address that it has."""
    if not WATCHING & set(watcher.roles):
        return None
    names = ("server.enrolled", "server.changed", "server.host_key_confirmed")
    events = AuditEvent.objects.filter(subject=f"server:{watcher.name}", name__in=names).order_by("-sequence")
    for event in events[:_LOOKED_AT]:
        before = event.data.get("before") or {}
        if before.get("host") != watcher.host or not WATCHING & set(before.get("roles", ())):
            return event
    return None
