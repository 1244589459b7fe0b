"""What the roles portal and monitoring need on a server beyond what every role has: packages, accounts, a proxy.

The role bot needs nothing more than a tree and its units.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from engine.commands.operation import Operation, file, unit
from engine.commands.provisioning import unit_check
from engine.commands.proxying import WATCHERS as PAGES
from engine.commands.proxying import WATCHERS_PORT, bare, caddyfile, portal_url
from engine.host.provision.unit_bounds import DROP_IN, drop_in
from engine.host.provision.unit_rules import BESIDE_A_RELEASE, accounts_of
from engine.host.provision.unit_values import PORTAL, WATCHERS

WATCH_USER = WATCHERS
"""Runs Prometheus and Alertmanager: whoever breaks into one of them has neither the bot nor the deployments."""
PORTAL_USER = PORTAL
WEB_PORTS = (80, 443)
KEPT_STATE: Mapping[str, tuple[str, ...]] = {
    "bot": (),
    "portal": ("/var/lib/rosey-portal",),
    "monitoring": ("/var/lib/cytube-prometheus", "/var/lib/cytube-alertmanager"),
}
"""Where the services of a role keep what is worth keeping, beside the tree."""

# Debian's unit gives up at the first crash, and may write to most of the machine.
_CADDY_DROP_IN = """\
# Written by provision.
[Unit]
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=1
MemoryMax=500M
TasksMax=128
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
ProtectSystem=strict
StateDirectory=caddy
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectHostname=yes
ProtectClock=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""


@dataclass(frozen=True)
class RolePack:
    """The packages of a role, ports for the world, and operations that come after everything else."""

    packages: tuple[str, ...] = ()
    public_ports: tuple[int, ...] = ()
    operations: tuple[Operation, ...] = ()


def pack_for(
    roles: Collection[str], application: str, host: str = "", units: Mapping[str, bytes] | None = None
) -> RolePack:
    """Everything that a server with these roles needs beside its tree.

    `host` is the name or address that people reach the server by; `units` the files of `BESIDE_A_RELEASE`.
    """
    packs = []
    if "portal" in roles and units:  # another project's portal brings a proxy of its own
        packs.append(_portal(application, host, units, watched="monitoring" in roles))
    if "monitoring" in roles:
        packs.append(_monitoring(application))
    return RolePack(
        packages=tuple(name for pack in packs for name in pack.packages),
        public_ports=tuple(port for pack in packs for port in pack.public_ports),
        operations=tuple(operation for pack in packs for operation in pack.operations),
    )


def _portal(application: str, host: str, units: Mapping[str, bytes], *, watched: bool) -> RolePack:
    directory, proxy = f"/etc/{application}", "/etc/caddy/Caddyfile"
    proxy_bounds = f"/etc/systemd/system/caddy.service.d/{application}.conf"
    environment = (
        f"# Written by provision; portal.local.env beside it is yours.\nPORTAL_URL={portal_url(host)}\n"
        f"PORTAL_ALLOWED_HOSTS={host.strip('[]')},{bare(host)},127.0.0.1,localhost\n"
        + "".join(f"{name.upper()}_URL=http://127.0.0.1:{one.port}\n" for name, one in PAGES.items() if watched)
    )
    return RolePack(
        packages=("caddy",),
        public_ports=(*WEB_PORTS, *((WATCHERS_PORT,) if watched else ())),
        operations=(
            unit_check(application, units, {name: accounts_of(application, "portal") for name in units}, units),
            _user(PORTAL_USER, application),
            _root_directory(directory),
            file(f"{directory}/portal.env", environment.encode(), title="settings of the portal"),
            *_with_bounds(application, units),
            *(
                unit(name, enabled=True, started=started, restart_on=[f"/etc/systemd/system/{name}"])
                for name, started in BESIDE_A_RELEASE.items()
                if name in units and started
            ),
            file(
                proxy,
                caddyfile(host, watched=watched).encode(),
                title="the proxy's configuration",
                validate=("caddy", "validate", "--adapter", "caddyfile", "--config", "{}"),
            ),
            file(proxy_bounds, _CADDY_DROP_IN.encode(), title="the proxy's sandbox"),
            unit("caddy.service", enabled=True, started=True, restart_on=[proxy, proxy_bounds]),
        ),
    )


def _root_directory(path: str) -> dict[str, object]:
    owned: dict[str, object] = {"mode": 0o755, "owner": "root", "group": "root"}
    return {"op": "directory", "title": f"directory {path}", "path": path, **owned}


def _with_bounds(application: str, units: Mapping[str, bytes]) -> list[Operation]:
    """Units that run beside a release, each with root's drop-in."""
    put = [file(f"/etc/systemd/system/{name}", content, title=f"unit file {name}") for name, content in units.items()]
    bounds = {f"/etc/systemd/system/{name}.d/{DROP_IN}": drop_in(application, name, units[name]) for name in units}
    return [*put, *(file(path, content, title=f"bounds in {path}") for path, content in bounds.items())]


def _monitoring(application: str) -> RolePack:
    # Debian starts both as soon as they are installed, with a configuration of its own, on our ports
    packages = ("prometheus", "prometheus-alertmanager")
    return RolePack(
        packages=packages,
        operations=(
            _user(WATCH_USER, application),
            *(unit(f"{name}.service", enabled=False, started=False, package=name) for name in packages),
        ),
    )


def _user(name: str, application: str) -> Operation:
    return {
        "op": "user",
        "title": f"user {name}",
        "name": name,
        "home": f"/opt/{application}",
        "shell": "/usr/sbin/nologin",
        "system": True,
        "create_home": False,
    }
