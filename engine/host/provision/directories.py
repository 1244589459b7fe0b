"""Directories that provisioning makes, and takes away with what is in them."""

from __future__ import annotations

import os
import stat

from .clearing import cleared
from .machine import Change, Machine, Operation, group_id, set_rights, user_id, wanted_rights
from .ownership import deploying_account
from .paths import DIRECTORY, Place, Refused, describe, moved_by_its_owner_alone, names_of, place


def op_directory(machine: Machine, operation: Operation) -> Change:
    path, wanted = operation["path"], wanted_rights(operation)
    try:
        where = place(path)
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if parent not in machine.planned_paths:
            raise Refused("%s does not exist, so %s cannot be made." % (parent, path)) from None
        machine.planned_paths.append(path)
        return "missing", wanted
    with where:
        if not where.exists():
            return make_directory(machine, where, operation), wanted
        status = where.status()
        if not stat.S_ISDIR(status.st_mode):
            raise Refused("%s is in the way: it should be a directory. Move it away first." % path)
        if where.trusted:
            machine.ours.refuse_foreign("directory", path, "Move it away, or give the application another name.")
            machine.ours.add("directory", path)
        before = describe(status)
        if before != wanted and not machine.plan:
            set_directory_rights(machine, where, operation)
        return before, wanted


def make_directory(machine: Machine, where: Place, operation: Operation) -> str:
    user_id(machine, operation["owner"])
    group_id(machine, operation["group"])
    machine.planned_paths.append(operation["path"])
    if where.trusted:
        machine.ours.add("directory", operation["path"])
    if not machine.plan:
        os.mkdir(where.name, 0o700, dir_fd=where.parent)
        set_directory_rights(machine, where, operation)
    return "missing"


def set_directory_rights(machine: Machine, where: Place, operation: Operation) -> None:
    """Of a directory that is ours: others may have moved one of theirs, or of somebody else's, to its place."""
    fd = os.open(where.name, DIRECTORY, dir_fd=where.parent)
    try:
        status = os.fstat(fd)
        owner = names_of(status)[0]
        moved = owner == "root" and not where.trusted and not moved_by_its_owner_alone(status)
        if (
            owner
            not in (
                "root",
                deploying_account(machine.ours.name),
                operation["owner"],
                operation["group"],
                machine.ours.name,
            )
            or moved
        ):
            raise Refused(
                "%s belongs to %s, which provisioning did not do. Look who put it there, and move it away."
                % (operation["path"], owner)
            )
        set_rights(machine, fd, operation)
    finally:
        os.close(fd)


def op_cleared(machine: Machine, operation: Operation) -> Change:
    """A directory that goes with everything in it, but for the directories in `keep`, disks mounted there, and the way
    to them; of a disk all that lies on it goes."""
    path = operation["path"]
    if os.path.lexists(path) and not os.path.islink(path):
        machine.ours.refuse_foreign("directory", path, "Nothing of it is deleted.")
    change = cleared(path, operation["keep"], machine.plan)
    if not os.path.lexists(path):
        machine.ours.drop("directory", path)
    return change
