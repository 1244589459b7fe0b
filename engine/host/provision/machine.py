"""This server, as the operations see and change it; and whose each thing is to be."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any, Dict, List, Optional, Tuple

from .ownership import Ours
from .paths import Refused

Operation = Dict[str, Any]
Change = Tuple[str, str]  # how it is, how it will be; equal when nothing is to do


class Machine:
    """This server, as the operations see and change it. `planned` collects what a plan would have made."""

    def __init__(self, plan: bool, operations: Optional[List[Operation]] = None) -> None:
        self.plan = plan
        self.operations = operations or []
        self.ours = Ours()
        self.difference: List[str] = []
        self.note = ""
        self.changed_paths: List[str] = []
        self.planned_users: List[str] = []
        self.planned_paths: List[str] = []


def user_id(machine: Machine, name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        if machine.plan and name in machine.planned_users:
            return -1
        raise Refused("There is no user %s on this server." % name) from None


def group_id(machine: Machine, name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if machine.plan and name in machine.planned_users:
            return -1
        raise Refused("There is no group %s on this server." % name) from None


def wanted_rights(operation: Operation) -> str:
    return "%s:%s %04o" % (operation["owner"], operation["group"], operation["mode"])


def set_rights(machine: Machine, fd: int, operation: Operation) -> None:
    os.fchown(fd, user_id(machine, operation["owner"]), group_id(machine, operation["group"]))
    os.fchmod(fd, operation["mode"])  # after chown, which drops the setgid bit
