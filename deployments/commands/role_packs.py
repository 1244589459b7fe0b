"""What the roles portal and monitoring need on a server beyond what every role has: packages, accounts, units put away.

The role bot needs nothing more than a tree and its units.
"""

from collections.abc import Collection
from dataclasses import dataclass

from deployments.commands.provisioning import Operation, unit

WATCH_USER = "rosey-watch"
"""Runs Prometheus and Alertmanager: whoever breaks into one of them has neither the bot nor the deployments."""


@dataclass(frozen=True)
class RolePack:
    """The packages of a role, and operations that come after everything else."""

    packages: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()


def pack_for(roles: Collection[str], application: str) -> RolePack:
    """Everything that a server with these roles needs beside its tree."""
    if "monitoring" not in roles:
        return RolePack()
    # Debian starts both as soon as they are installed, with a configuration of its own, on our ports
    put_away = ("prometheus.service", "prometheus-alertmanager.service")
    return RolePack(
        packages=("prometheus", "prometheus-alertmanager"),
        operations=(
            {
                "op": "user",
                "title": f"user {WATCH_USER}",
                "name": WATCH_USER,
                "home": f"/opt/{application}",
                "shell": "/usr/sbin/nologin",
                "system": True,
                "create_home": False,
            },
            *(unit(name, enabled=False, started=False) for name in put_away),
        ),
    )
