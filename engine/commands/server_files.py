"""The files that provisioning writes for root: unit files of our own, sudoers, firewall, journal limits."""

from engine.host.agent.units import TOLD, run_command, take_command
from engine.host.provision.firewall import table_of
from engine.host.provision.inventory import check_argv

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


def sudoers(name: str, deploys: str = DEPLOY_USER) -> bytes:
    """Exactly the commands by which the agent has units taken over, a command run as the application's account, and
    what looks, without a wildcard.

    What it may do with its units comes with them.
    """
    commands = [take_command(name), take_command(name, TOLD), run_command(name), check_argv(name)]
    lines = [
        f"# What deployments of {name} need root for. Written by provision.",
        f"Defaults:{deploys} !requiretty",
        *(f"{deploys} ALL=(root) NOPASSWD: {' '.join(command)}" for command in commands),
    ]
    return "\n".join([*lines, ""]).encode()


def units_unit(name: str) -> bytes:
    """What makes the units those of the release that is live, once a boot has settled which one that is."""
    root = f"/opt/{name}"
    return f"""\
[Unit]
Description=Take over the units of what is live in {root}
DefaultDependencies=no
RequiresMountsFor={root} /var/lib/cytube-ops
After=local-fs.target {name}-recover.service
Before=sockets.target timers.target paths.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists={root}/current

[Service]
Type=oneshot
ExecStart={" ".join(take_command(name)[:-1])} boot
TimeoutStartSec=120
ReadWritePaths=/etc/systemd/system /etc/sudoers.d /var/lib/cytube-ops
PrivateNetwork=yes
CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_DAC_READ_SEARCH CAP_KILL
RestrictAddressFamilies=AF_UNIX
{_SANDBOX}
[Install]
WantedBy=multi-user.target
""".encode()


def recover_unit(name: str, deploys: str = DEPLOY_USER) -> bytes:
    """What puts the tree in order after a power cut, before anything of ours starts."""
    root = f"/opt/{name}"
    return f"""\
[Unit]
Description=Settle a deployment of {name} that a power cut ended
DefaultDependencies=no
RequiresMountsFor={root}
After=local-fs.target systemd-tmpfiles-setup.service
Before=sockets.target shutdown.target {name}-units.service
Conflicts=shutdown.target
ConditionPathExists={root}/.deploy/journal.jsonl

[Service]
Type=oneshot
User={deploys}
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


def settle_unit(name: str, deploys: str = DEPLOY_USER) -> bytes:
    """What runs the ways back of hooks that a power cut left: late enough for databases, before our services.

    It has root's programs do what needs root, by sudo, as any deployment has. Every boot waits for what it is after, so
    that is no network-online.target, which may take minutes.
    """
    root = f"/opt/{name}"
    return f"""\
[Unit]
Description=Go the way back of what a power cut ended in {root}
After=network.target postgresql.service mysql.service mariadb.service {name}-recover.service {name}-units.service
ConditionPathExists={root}/.deploy/unsettled

[Service]
Type=oneshot
User={deploys}
ExecStart=/usr/bin/python3 -I -S {root}/.deploy/agent.py recover --late
TimeoutStartSec=3600
UMask=0022

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
