"""The files that provisioning writes for root: unit files of our own, sudoers, firewall, journal limits."""

from collections.abc import Iterable, Sequence

from engine.host.agent.systemd import sudo_commands
from engine.host.provision.firewall import table_of
from engine.host.provision.looking import look_argv

DEPLOY_USER = "rosey"

JOURNAL_LIMITS = b"[Journal]\nStorage=persistent\nSystemMaxUse=500M\nRateLimitIntervalSec=30s\nRateLimitBurst=10000\n"

_SANDBOX = """\
NoNewPrivileges=yes
ProtectSystem=strict
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
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@resources
IPAddressDeny=any
UMask=0022
"""


def sudoers(name: str, units: Iterable[str]) -> bytes:
    """Exactly the commands the agent uses and the one that looks, argument by argument, and no wildcard."""
    lines = [f"# What deployments of {name} need root for. Written by provision."]
    for unit in units:
        lines += [f"{DEPLOY_USER} ALL=(root) NOPASSWD: {' '.join(command)}" for command in sudo_commands(unit)]
    lines.append(f"{DEPLOY_USER} ALL=(root) NOPASSWD: {' '.join(look_argv(name))}")
    return "\n".join([*lines, ""]).encode()


def recover_unit(name: str, units: Sequence[str]) -> bytes:
    """What puts the tree in order after a power cut, before anything of ours starts."""
    root = f"/opt/{name}"
    return f"""\
[Unit]
Description=Settle a deployment of {name} that a power cut ended
DefaultDependencies=no
RequiresMountsFor={root}
After=local-fs.target systemd-tmpfiles-setup.service
Before=sockets.target shutdown.target {" ".join(units)}
Conflicts=shutdown.target
ConditionPathExists={root}/.deploy/journal.jsonl

[Service]
Type=oneshot
User={DEPLOY_USER}
ExecStart=/usr/bin/python3 -I -S {root}/.deploy/agent.py recover --boot
TimeoutStartSec=60
ReadWritePaths={root}
PrivateNetwork=yes
PrivateUsers=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX
{_SANDBOX}
[Install]
WantedBy=multi-user.target
""".encode()


def firewall_unit(name: str, rules: str) -> bytes:
    """Loads the rules at `rules` before the network is up."""
    return f"""\
[Unit]
Description=Firewall of {name}
DefaultDependencies=no
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
# nftables.service empties the kernel's rules, ours included, whenever it starts, stops or reloads
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
ConditionPathExists={rules}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {rules}
ExecReload=/usr/sbin/nft -f {rules}
ExecStop=-/usr/sbin/nft delete table inet {table_of(name)}
CapabilityBoundingSet=CAP_NET_ADMIN
RestrictAddressFamilies=AF_NETLINK AF_UNIX
{_SANDBOX}
[Install]
WantedBy=multi-user.target nftables.service
""".encode()
