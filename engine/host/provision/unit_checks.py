"""Whether a server installs the units of a release: by what they say, by their names, by the directories they keep."""

from __future__ import annotations

import os
import pwd
import re
import stat
from typing import Collection, Iterable, Mapping, Set

from .ownership import Ours, applications, roots_own
from .paths import Refused, names_of
from .server_units import OUR_UNITS, known_sockets, known_units, made_account, socket_files, state_directories
from .unit_bounds import dynamic_account
from .unit_rules import BESIDE_A_RELEASE, generated_units, name_faults, unit_faults
from .unit_values import Around

KEPT = "kept"
"""How root's record calls a directory or a socket that systemd makes for a unit of ours."""
_DYNAMIC = range(61184, 65520)
"""The numbers of accounts that systemd makes for units while they run (`userdbctl`, systemd.exec(5))."""


def refuse_units(
    name: str,
    units: Mapping[str, bytes],
    runs_as: Mapping[str, Collection[str]],
    more: Iterable[str],
    ours: Ours,
) -> None:
    """Raises Refused for a unit that says what it may not, or takes a name or a directory of others."""
    known, others = known_units(), list(more)
    listens = any(unit.endswith(".socket") for unit in units)
    listened = known_sockets(known) if listens else {}
    for unit in [*units, *others]:
        if unit in known and not ours.has("file", OUR_UNITS + "/" + unit):
            sentence = "%s is a unit of this server already (%s), and not ours. Rename yours, or move that one away."
            raise Refused(sentence % (unit, known[unit]))
    for unit, content in units.items():
        around = Around(name, runs_as[unit], [*units, *others, *BESIDE_A_RELEASE])
        for fault in [*name_faults(unit, name), *unit_faults(unit, content, around)]:
            raise Refused("%s %s. %s" % (unit, fault.wrong, fault.hint))
        refuse_taken_account(unit, content, around.accounts)
        refuse_shared_account(unit, content, known, ours)
        refuse_names_of_applications(name, unit, content)
        before = _kept_before(unit, ours)
        for path in state_directories(content):
            refuse_foreign_owner(path, around.accounts, path in before or ours.has(KEPT, path))
        for path in socket_files(content):
            theirs = listened.get(path, unit)
            if theirs != unit and theirs not in units and not ours.has("file", OUR_UNITS + "/" + theirs):
                raise Refused("%s would listen on %s, where %s does. Choose another socket." % (unit, path, theirs))
            if path not in before and not ours.has(KEPT, path) and os.path.lexists(path):
                raise Refused("%s is there already and not ours. Give %s another socket." % (path, unit))


def refuse_taken_account(unit: str, content: bytes, accounts: Collection[str]) -> None:
    """Where an account has the name already, systemd makes none for a DynamicUser=, and runs the unit as that one."""
    account = dynamic_account(unit, content)
    try:
        number = pwd.getpwnam(account).pw_uid if account else None
    except KeyError:
        return
    if number is not None and number not in _DYNAMIC and account not in accounts:
        raise Refused("%s would run as %s, an account of this server. Give it a User=, or rename it." % (unit, account))


def refuse_shared_account(unit: str, content: bytes, known: Mapping[str, str], ours: Ours) -> None:
    """Services for which systemd makes accounts of one name have one account, and so what belongs to it."""
    account = dynamic_account(unit, content)
    for other, path in known.items() if account else ():
        if other != unit and not ours.has("file", path) and made_account(other, path) == account:
            sentence = "%s would run as %s, the account that systemd makes for %s. Give it a User=, or rename it."
            raise Refused(sentence % (unit, account, other))


def refuse_names_of_applications(name: str, unit: str, content: bytes) -> None:
    """Nothing of a release is called as what another application of this server has, or is going to have."""
    kept = [*state_directories(content), *socket_files(content)]
    for other in applications():
        if other != name and unit in generated_units(other):
            raise Refused("%s has the name of a unit that root makes for %s. Give it another name." % (unit, other))
        for path in kept if other.startswith(name + "-") else ():
            if re.fullmatch(re.escape(other) + r"(?:[-.].*)?", path.rpartition("/")[2].lstrip("@")):
                raise Refused("%s names %s, which is of %s. Give it another name." % (unit, path, other))


def refuse_foreign_owner(path: str, accounts: Collection[str], taken: bool = False) -> None:
    """systemd gives such a directory, with all that is in it, to the unit's account.

    A service with an account of its own (`DynamicUser=`) has it in `private/`, behind a link of root's: whose that is
    does not show, so it has to be `taken`, one of ours by root's record.
    """
    above, name = os.path.split(path)
    for there in (path, os.path.join(above, "private", name)):
        try:
            status = os.lstat(there)
        except FileNotFoundError:
            continue
        hidden = there != path or stat.S_ISLNK(status.st_mode)
        owner = "root, for some service" if hidden else names_of(status)[0]
        if not (taken if hidden else owner in accounts):
            raise Refused("%s is there already and belongs to %s. Give the unit another directory." % (there, owner))


def keep(ours: Ours, content: bytes) -> None:
    """Record what a unit that was not refused keeps, before systemd makes it."""
    for path in (*state_directories(content), *socket_files(content)):
        ours.add(KEPT, path)


def _kept_before(unit: str, ours: Ours) -> Set[str]:
    """What this very unit of ours keeps as it is installed: before there was a record of it."""
    path = OUR_UNITS + "/" + unit
    content = (roots_own(path) if ours.has("file", path) else None) or b""
    return {*state_directories(content), *socket_files(content)}
