"""What root's drop-in says beside a unit that came with a release, and where root keeps what systemd reads for it.

systemd reads credentials and environment files as root, and the tree belongs to the deploying account: a link there
would hand out any file of root's. So a unit is given root's own copies, at the same paths below `held`.
"""

from __future__ import annotations

import re
from typing import List

from .paths import Refused
from .unit_file import Assignment, in_the_end, read_unit
from .unit_rules import ROLE_ACCOUNTS, reaches_others
from .unit_values import TRUE

DROP_IN = "10-cytube-ops.conf"
"""Before whatever an administrator puts there: his word is the last."""
HELD = "/var/lib/cytube-ops"
ALWAYS_HELD = "current/.release"

ENFORCED = "NoNewPrivileges=yes\nCapabilityBoundingSet=\nAmbientCapabilities=\nRestrictSUIDSGID=yes\n"

_AN_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,30}")
"""A unit's name that systemd takes for the account it makes; for every other one it makes up a name."""

_BY_ROOT = ("EnvironmentFile", "LoadCredential")
_ALIKE = frozenset(
    "Environment UnsetEnvironment PassEnvironment SetCredential UMask SupplementaryGroups DynamicUser TasksMax "  # noqa: SIM905
    "StateDirectory StateDirectoryMode CacheDirectory CacheDirectoryMode LogsDirectory LogsDirectoryMode "
    "CPUQuota CPUWeight IOWeight LockPersonality DevicePolicy DeviceAllow ReadOnlyPaths ReadWritePaths "
    "InaccessiblePaths ExecPaths NoExecPaths ProcSubset".split()
)
_LIKEWISE = ("Protect", "Private", "Restrict", "Memory", "Limit", "SystemCall", "IPAddress")


def held(name: str) -> str:
    """Root's copies of what lies in the tree of an application."""
    return "%s/%s" % (HELD, name)


def read_by_root(name: str, content: bytes) -> List[str]:
    """The files that systemd would read as root for this unit, by their paths in the tree."""
    said = read_unit(content)
    paths = [value[value.startswith("-") :] for value in _values(said, "EnvironmentFile")]
    paths += [value.partition(":")[2] for value in _values(said, "LoadCredential")]
    tree = "/opt/%s/" % name
    return [path[len(tree) :] for path in paths if path.startswith(tree)]


def drop_in(name: str, unit: str, content: bytes) -> bytes:
    """The drop-in of a unit that unit_rules allow: its account, no more rights than that, and root's own copies.

    Raises Refused for a service that would run as somebody else than the application, and for a unit beside which a
    drop-in would be one of others' too.
    """
    if reaches_others(unit):
        raise Refused("%s ends in a dash: a drop-in beside it would change units of others." % unit)
    said = read_unit(content)
    text = "# Written by root for %s, whose releases bring this unit.\n[Unit]\n" % name
    text += "After=%s-recover.service %s-units.service\n" % (name, name)
    if unit.endswith(".service"):
        text += "After=%s-settle.service\n" % name  # sockets are open long before it
        text += "\n[Service]\n" + ENFORCED
        account = _account(name, unit, said)
        if _made_for(unit, said):
            text += "DynamicUser=yes\n" + ("User=%s\n" % account if _AN_ACCOUNT.fullmatch(account) else "")
        for key in ("User", "Group"):
            text += "".join("%s=%s\n" % (key, value) for value in _values(said, key)[-1:])
        for key in _BY_ROOT:
            values, copies = _values(said, key), _copies(name, said, key)
            if copies != values:
                text += "%s=\n" % key + "".join("%s=%s\n" % (key, value) for value in copies)
    return text.encode()


def surroundings(name: str, unit: str, content: bytes) -> List[str]:
    """What a command gets that runs as this unit does: account, environment, secrets, limits, what shuts it in.

    Whatever is about the unit's own life is left out: its programs, directories that end with it, restarts. Raises
    Refused as drop_in does.
    """
    said = read_unit(content)
    found = ["User=" + _account(name, unit, said), *("Group=" + group for group in _values(said, "Group")[-1:])]
    found += ["%s=%s" % (key, value) for key in _BY_ROOT for value in _copies(name, said, key)]
    return found + ["%s=%s" % (line.key, line.value) for line in said if line.section == "Service" and _stays(line.key)]


def dynamic_account(unit: str, content: bytes) -> str:
    """The account that systemd makes for a service, called as the unit is; empty for one that names an account."""
    return _made_for(unit, read_unit(content)) if unit.endswith(".service") else ""


def _made_for(unit: str, said: List[Assignment]) -> str:
    made = not _values(said, "User") and any(value in TRUE for value in _values(said, "DynamicUser")[-1:])
    return unit.rpartition(".")[0] if made else ""


def _account(name: str, unit: str, said: List[Assignment]) -> str:
    """Whom a service runs as. Raises Refused unless it is an account of the application's, or one made for the unit."""
    made = _made_for(unit, said)
    users = [made] if made else _values(said, "User")[-1:]
    if not users:
        raise Refused("%s has no User=, so it would run as root. Deploy a release whose unit has one." % unit)
    for account in [*users, *_values(said, "Group")[-1:]]:
        if account not in (name, *ROLE_ACCOUNTS.values(), made):
            raise Refused("%s would run as %s, which is no account of %s." % (unit, account, name))
    return users[0]


def _stays(key: str) -> bool:
    return key in _ALIKE or key.startswith(_LIKEWISE)


def _copies(name: str, said: List[Assignment], key: str) -> List[str]:
    return [value.replace("/opt/%s/" % name, held(name) + "/") for value in _values(said, key)]


def _values(said: List[Assignment], key: str) -> List[str]:
    return in_the_end(said, "Service", key)
