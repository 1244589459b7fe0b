"""Whether a server installs the units of a release: by what they say, by their names, by the directories they keep."""

from __future__ import annotations

import os
import pwd
from typing import Collection, Iterable, Mapping

from .ownership import Ours
from .paths import Refused, names_of
from .server_units import OUR_UNITS, known_units, state_directories
from .unit_bounds import dynamic_account
from .unit_rules import BESIDE_A_RELEASE, name_faults, unit_faults
from .unit_values import Around

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
    for unit in [*units, *others]:
        if unit in known and not ours.has("file", OUR_UNITS + "/" + unit):
            sentence = "%s is a unit of this server already (%s), and not ours. Rename yours, or move that one away."
            raise Refused(sentence % (unit, known[unit]))
    for unit, content in units.items():
        around = Around(name, runs_as[unit], [*units, *others, *BESIDE_A_RELEASE])
        for fault in [*name_faults(unit, name), *unit_faults(unit, content, around)]:
            raise Refused("%s %s. %s" % (unit, fault.wrong, fault.hint))
        refuse_taken_account(unit, content, around.accounts)
        for path in state_directories(content):
            refuse_foreign_owner(path, around.accounts)


def refuse_taken_account(unit: str, content: bytes, accounts: Collection[str]) -> None:
    """Where an account has the name already, systemd makes none for a DynamicUser=, and runs the unit as that one."""
    account = dynamic_account(unit, content)
    try:
        number = pwd.getpwnam(account).pw_uid if account else None
    except KeyError:
        return
    if number is not None and number not in _DYNAMIC and account not in accounts:
        raise Refused("%s would run as %s, an account of this server. Give it a User=, or rename it." % (unit, account))


def refuse_foreign_owner(path: str, accounts: Collection[str]) -> None:
    """systemd gives such a directory, with all that is in it, to the unit's account."""
    try:
        owner = names_of(os.lstat(path))[0]
    except FileNotFoundError:
        return
    if owner not in accounts and not os.path.islink(path):
        raise Refused("%s is there already and belongs to %s. Give the unit another directory." % (path, owner))
