"""What a unit that comes with a release may say: a list of what is allowed, and everything else is refused.

A unit is root's word to systemd. What is allowed runs with the rights of accounts that provisioning made for the
application and reads what lies in its tree; nothing here lets a release name another account, another unit, a path that
root would open, or a capability. One set of rules for check_manifest, uploads and servers.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple

from .debian import takes_name, takes_unit
from .unit_file import Assignment, Unreadable, read_unit
from .unit_values import (
    NO,
    OUTPUT,
    PORTAL,
    TARGETS,
    WATCHERS,
    YES,
    Around,
    Rule,
    account,
    accounts,
    among,
    any_unit,
    between,
    bounding,
    command,
    credential,
    directories,
    environment_file,
    free,
    listen,
    one_service,
    one_unit,
    own_units,
    seen_path,
    tree_paths,
)

UNIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}\.(?:service|socket|timer|path|target)")
ROLE_ACCOUNTS = {"portal": PORTAL, "monitoring": WATCHERS}
"""What provisioning makes for a role beside the application's own account."""
BESIDE_A_RELEASE = {"cytube-backup.service": False, "cytube-backup.timer": True}
"""Units of the role portal, in `systemd/` of a release, that run without it; and whether they are started."""

_ALSO_IN = {"service": "Service", "socket": "Socket", "timer": "Timer", "path": "Path"}


class Fault(NamedTuple):
    """One thing that a unit may not say: what is wrong, and what to do."""

    wrong: str
    hint: str


def accounts_of(name: str, role: str) -> List[str]:
    """The accounts that units of a role may run as."""
    return [name, *([ROLE_ACCOUNTS[role]] if role in ROLE_ACCOUNTS else [])]


def generated_units(name: str) -> List[str]:
    """The units that root writes itself, beside those of a release."""
    return ["%s-%s.service" % (name, what) for what in ("recover", "units", "settle", "firewall")]


def one_off_unit(name: str) -> str:
    """What systemd calls a command of the application's while it runs; it lies nowhere."""
    return "%s-one-off.service" % name


def reaches_others(unit: str) -> bool:
    """Whether systemd applies what lies in `<unit>.d` to other units too: templates, and stems that end in a dash.

    `dpkg-.service.d` is one of every `dpkg-….service` (systemd.unit(5)), and root writes a drop-in beside each unit.
    """
    return unit.rpartition(".")[0][-1:] in ("", "-", "@")


def name_faults(unit: str, name: str) -> Iterator[Fault]:
    """Why no release may bring a unit of this name."""
    if "@" in unit:
        yield Fault(
            "is a template: a server starts units by their full names, and no instance is named here",
            "Write one unit file per instance, without @.",
        )
    elif not UNIT_NAME.fullmatch(unit):
        yield Fault("is no name of a unit", "Use letters, digits, dots, dashes and underscores.")
    elif reaches_others(unit):
        yield Fault(
            "has a name that ends in a dash: systemd applies a drop-in beside it to every unit that begins so",
            "Leave out the last dash.",
        )
    if takes_unit(unit):
        yield Fault("has the name of a unit of Debian's or of a well-known package", "Begin it with %s-." % name)
    if unit in generated_units(name) or unit.endswith(one_off_unit("")):
        yield Fault("has the name of a unit that root makes itself", "Give it another name.")


def unit_faults(unit: str, content: bytes, around: Around) -> Iterator[Fault]:
    """Everything that a unit file says and may not."""
    try:
        said = read_unit(content)
    except Unreadable as error:
        yield Fault(str(error), "Correct the file.")
        return
    kind = unit.rpartition(".")[2]
    sections = {"Unit", "Install", _ALSO_IN.get(kind, "Unit")}
    for line in said:
        if line.section not in sections:
            yield Fault("line %d: [%s] is no section of a %s" % (line.line, line.section, kind), "Leave it out.")
            continue
        rule = _RULES[line.section].get(line.key)
        if rule is None:
            yield Fault(
                "line %d: %s= is not among what a unit of a release may say" % (line.line, line.key),
                "Leave it out; docs/deploy-toml.md lists what is allowed.",
            )
            continue
        hint = rule(line.value, around, unit)
        if hint:
            yield Fault("line %d: %s=%s is not allowed" % (line.line, line.key, line.value[:80]), hint)
    yield from _whole_faults(unit, kind, said, around)


def _whole_faults(unit: str, kind: str, said: List[Assignment], around: Around) -> Iterator[Fault]:
    keys = {line.key for line in said if line.section == _ALSO_IN.get(kind)}
    stem, user = unit.rpartition(".")[0], "Add User=%s to [Service]." % around.name
    if kind == "service" and "User" not in keys:
        if "DynamicUser" not in keys:
            yield Fault("has no User=, so it would run as root", user)
        elif takes_name(stem) and stem not in around.accounts:
            yield Fault("has no User=, and systemd takes the account that is called %s already" % stem, user)
    if kind in ("socket", "timer", "path") and ("Service" if kind == "socket" else "Unit") not in keys:
        service = stem + ".service"
        if service not in around.units:
            yield Fault("starts %s, which is no unit of this release" % service, "Add that unit, or name one of them.")


def _table(anything: str, **ruled: Rule) -> Dict[str, Rule]:
    return {**dict.fromkeys(anything.split(), free), **ruled}


def _conditions(kinds: str) -> List[str]:
    return [when + kind for kind in kinds.split() for when in ("Condition", "Assert")]


_OF_PATHS = (
    "PathExists PathExistsGlob PathIsDirectory PathIsSymbolicLink PathIsMountPoint PathIsReadWrite "
    "DirectoryNotEmpty FileNotEmpty FileIsExecutable"
)

_RULES: Dict[str, Dict[str, Rule]] = {
    "Unit": _table(
        "Description Documentation StartLimitIntervalSec StartLimitInterval StartLimitBurst CollectMode "
        "JobTimeoutSec "
        + " ".join(_conditions("Host Virtualization Memory CPUs Architecture KernelVersion ACPower Environment")),
        **dict.fromkeys(_conditions(_OF_PATHS), seen_path),
        After=any_unit,
        Before=own_units("shutdown.target", "multi-user.target"),
        Conflicts=own_units("shutdown.target"),
        **dict.fromkeys(("Wants", "Requires", "Requisite", "BindsTo", "PartOf", "Upholds"), own_units(*TARGETS)),
        **dict.fromkeys(("OnFailure", "OnSuccess", "PropagatesStopTo", "PropagatesReloadTo"), own_units()),
        RequiresMountsFor=tree_paths,
    ),
    "Install": _table(
        "",
        **dict.fromkeys(
            ("WantedBy", "UpheldBy"),
            own_units(
                "multi-user.target",
                "default.target",
                "graphical.target",
                "timers.target",
                "sockets.target",
                "paths.target",
            ),
        ),
        RequiredBy=own_units(),
        Also=own_units(),
    ),
    "Service": _table(
        "Environment UnsetEnvironment PassEnvironment NotifyAccess RemainAfterExit GuessMainPID ExitType Restart "
        "RestartSec RestartSteps RestartMaxDelaySec RestartPreventExitStatus RestartForceExitStatus "
        "SuccessExitStatus TimeoutSec TimeoutStartSec TimeoutStopSec TimeoutAbortSec TimeoutStartFailureMode "
        "TimeoutStopFailureMode RuntimeMaxSec WatchdogSec WatchdogSignal KillMode KillSignal RestartKillSignal "
        "FinalKillSignal SendSIGKILL SendSIGHUP FileDescriptorStoreMax NonBlocking OOMPolicy StartLimitInterval "
        "StartLimitBurst UMask WorkingDirectory SetCredential StandardInputText StandardInputData "
        "SyslogIdentifier SyslogLevel SyslogLevelPrefix LogLevelMax LogRateLimitIntervalSec LogRateLimitBurst "
        "MemoryMax MemoryHigh MemorySwapMax MemoryAccounting TasksMax TasksAccounting CPUQuota CPUWeight "
        "CPUAccounting IOWeight IOAccounting IPAddressAllow IPAddressDeny LimitNOFILE LimitNPROC LimitCORE "
        "LimitFSIZE LimitAS LimitSTACK LimitCPU LimitDATA LimitMEMLOCK NoNewPrivileges ProtectSystem ProtectHome "
        "ProtectHostname ProtectClock ProtectKernelTunables ProtectKernelModules ProtectKernelLogs "
        "ProtectControlGroups ProtectProc ProcSubset PrivateTmp PrivateDevices PrivateNetwork PrivateUsers "
        "PrivateIPC PrivateMounts RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID "
        "RestrictFileSystems LockPersonality MemoryDenyWriteExecute RemoveIPC KeyringMode SystemCallArchitectures "
        "SystemCallFilter SystemCallErrorNumber SystemCallLog DevicePolicy DeviceAllow ReadOnlyPaths "
        "ReadWritePaths InaccessiblePaths ExecPaths NoExecPaths StateDirectoryMode RuntimeDirectoryMode "
        "CacheDirectoryMode LogsDirectoryMode RuntimeDirectoryPreserve IOSchedulingPriority",
        Type=among("simple", "exec", "forking", "oneshot", "notify", "notify-reload", "idle"),
        **dict.fromkeys(("User", "Group"), account),
        SupplementaryGroups=accounts,
        DynamicUser=YES,
        **dict.fromkeys(
            ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop", "ExecStopPost"),
            command,
        ),
        AmbientCapabilities=among(""),
        CapabilityBoundingSet=bounding,
        EnvironmentFile=environment_file,
        LoadCredential=credential,
        **dict.fromkeys(("StateDirectory", "RuntimeDirectory", "CacheDirectory", "LogsDirectory"), directories),
        StandardInput=among("null", "socket", "data"),
        StandardOutput=OUTPUT,
        StandardError=OUTPUT,
        Nice=between(0, 19),
        OOMScoreAdjust=between(0, 1000),
        CPUSchedulingPolicy=among("other", "batch", "idle"),
        IOSchedulingClass=among("best-effort", "idle"),
        Sockets=own_units(),
    ),
    "Socket": _table(
        "Backlog NoDelay KeepAlive KeepAliveTimeSec KeepAliveIntervalSec KeepAliveProbes DeferAcceptSec "
        "BindIPv6Only ReusePort SocketMode FileDescriptorName PassCredentials FlushPending "
        "TriggerLimitIntervalSec TriggerLimitBurst RemoveOnStop",
        **dict.fromkeys(("ListenStream", "ListenDatagram", "ListenSequentialPacket"), listen),
        SocketUser=account,
        SocketGroup=account,
        Accept=NO,
        Service=one_service,
    ),
    "Timer": _table(
        "OnActiveSec OnBootSec OnStartupSec OnUnitActiveSec OnUnitInactiveSec OnCalendar AccuracySec "
        "RandomizedDelaySec FixedRandomDelay OnClockChange OnTimezoneChange Persistent RemainAfterElapse",
        Unit=one_unit,
    ),
    "Path": _table(
        "TriggerLimitIntervalSec TriggerLimitBurst",
        **dict.fromkeys(
            ("PathExists", "PathExistsGlob", "PathChanged", "PathModified", "DirectoryNotEmpty"), seen_path
        ),
        Unit=one_unit,
    ),
}
