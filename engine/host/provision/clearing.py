"""Emptying a directory that others may write to: by open directories, past no link, and past no disk."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from typing import Iterator, List, Tuple

from .paths import DIRECTORY, Place, Refused, place

DELETION_TIMEOUT = 900.0  # s; a tree may hold a million files


class Clearing:
    """What to delete at a path, and what stays: `keep`, disks mounted below, and the way to them."""

    def __init__(self, path: str, keep: List[str]) -> None:
        self.path = path
        self.keep = [kept for kept in keep if is_directory(kept)]
        self.disks = [disk for disk in mount_points() if within(disk, path)]

    def run(self, where: Place, plan: bool) -> int:
        """Delete, unless it is only planned; how many files and directories went with all that is in them."""
        return sum(self._outermost(where.parent, where.name, self.path, plan))

    def stays(self) -> List[str]:
        """What is not deleted, as words."""
        return [kept for kept in self.keep if within(kept, self.path)] + [
            "the empty disk %s" % disk for disk in self.disks
        ]

    def _outermost(self, parent: int, name: str, path: str, plan: bool) -> Iterator[int]:
        if path in self.keep:
            return
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        way = any(within(stays, path) for stays in self.keep + self.disks)
        if not way or not stat.S_ISDIR(status.st_mode):
            if not plan:
                remove(parent, name)
            yield 1
            return
        fd = os.open(name, DIRECTORY, dir_fd=parent)
        try:
            for inner in sorted(os.listdir(fd)):
                yield from self._outermost(fd, inner, path + "/" + inner, plan)
        finally:
            os.close(fd)


def remove(parent: int, name: str) -> None:
    """Delete what has this name in an open directory, with all below it: rm goes by open directories, however deep."""
    done = subprocess.run(
        ["/usr/bin/rm", "--recursive", "--force", "--one-file-system", "--", "./" + name],
        cwd="/proc/self/fd/%d" % parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DELETION_TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        raise Refused("%s could not be deleted: %s" % (name, done.stdout.decode(errors="replace").strip()[-500:]))


def is_directory(path: str) -> bool:
    """Whether a directory is there, reached through no link that others may have put there."""
    try:
        with place(path) as where:
            return stat.S_ISDIR(where.status().st_mode)
    except (OSError, Refused):
        return False


def mount_points() -> List[str]:
    """Where something is mounted, as paths; mountinfo writes blanks as octal numbers (proc(5))."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split()[4] for line in file]
    return [re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), point) for point in points]


def within(path: str, directory: str) -> bool:
    """Whether `path` is the directory or below it."""
    return path == directory or path.startswith(directory + "/")


def cleared(path: str, keep: List[str], plan: bool) -> Tuple[str, str]:
    """A directory that goes with everything in it, but for what is kept; how it is, and how it will be."""
    try:
        where = place(path)
    except FileNotFoundError:
        return "absent", "absent"
    with where:
        if where.exists() and stat.S_ISLNK(where.status().st_mode):
            raise Refused("%s is a link and is not followed here." % path)
        clearing = Clearing(where.path, [kept.replace(path, where.path, 1) for kept in keep])
        gone = clearing.run(where, plan)
    after = "kept: %s" % ", ".join(clearing.stays()) if clearing.stays() else "absent"
    return ("%d entries to remove" % gone if gone else after), after
