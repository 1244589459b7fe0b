"""The remote commands that put a portal into a server with the role portal; all of them as root."""

from collections.abc import Sequence

from engine.commands.remote_command import RemoteCommand
from engine.commands.role_setup import PORTAL_USER

UNITS = ("cytube-web.socket", "cytube-web.service", "cytube-worker.service")
STATE = f"/var/lib/{PORTAL_USER}"
ARRIVING = f"{STATE}/arriving.backup"
CA_CERTIFICATE = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
"""Of Caddy's own authority, which signs where no public one does."""
LIMIT = "600"
"""Seconds after which systemd ends a management command there, whether anybody still listens or not."""


def systemctl(verb: str) -> RemoteCommand:
    """Start or stop what the portal consists of. The socket goes too: a visitor must not start the web process."""
    return RemoteCommand(("systemctl", verb, *UNITS))


def receive() -> RemoteCommand:
    """Standard input becomes the backup that arrives, in the portal's state directory."""
    return RemoteCommand(("runuser", "-u", PORTAL_USER, "--", "dd", f"of={ARRIVING}", "bs=1M", "status=none"))


def forget() -> RemoteCommand:
    """The backup is not needed any more."""
    return RemoteCommand(("rm", "-f", ARRIVING))


def manage(application: str, arguments: Sequence[str]) -> RemoteCommand:
    """A management command of the release that is live there, on the portal's own state."""
    directory = f"/opt/{application}/current"
    properties = {
        "User": PORTAL_USER,
        "Group": PORTAL_USER,
        "UMask": "0077",
        "WorkingDirectory": directory,
        "RuntimeMaxSec": LIMIT,
    }
    command = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"]
    command += [f"--property={name}={value}" for name, value in properties.items()]
    for name in ("portal.env", "portal.local.env"):
        command.append(f"--property=EnvironmentFile=-/etc/{application}/{name}")
    command += [f"--setenv=PORTAL_STATE_DIR={STATE}", "--setenv=PYTHONDONTWRITEBYTECODE=1"]
    return RemoteCommand((*command, f"{directory}/.envs/portal/bin/python", "manage.py", *arguments))


def ca_certificate() -> RemoteCommand:
    """Print the certificate of Caddy's own authority."""
    return RemoteCommand(("cat", CA_CERTIFICATE))
