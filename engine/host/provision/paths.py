"""Paths as root may use them: never through a directory that somebody else may change.

A directory is trusted when it is root's and nobody else may write to it, and so is everything above it. Links in
trusted directories are root's own and are followed; below the first other directory no link is followed at all.

Errors: Refused    something cannot be done, and why
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from typing import List, Tuple

LINKS = 40  # as many as the kernel follows
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """An operation cannot be done; the text is the sentence a person reads."""


class Place:
    """Where a path is: the open directory `parent` and the `name` in it. `path` has no link in it."""

    def __init__(self, parent: int, name: str, path: str, trusted: bool) -> None:
        self.parent = parent
        self.name = name
        self.path = path
        self.trusted = trusted

    def __enter__(self) -> "Place":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.parent)

    def status(self) -> os.stat_result:
        """Of what is there itself, a link included. Raises FileNotFoundError."""
        return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)

    def exists(self) -> bool:
        """Whether anything is there, a link that leads nowhere included."""
        try:
            self.status()
        except FileNotFoundError:
            return False
        return True

    def open(self, flags: int, mode: int = 0o600) -> int:
        """Open what is there, if it is no link and does not make anybody wait."""
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode, dir_fd=self.parent)


def place(path: str, make: bool = False) -> Place:
    """Where `path` is, reached component by component; `make` missing directories above it, in trusted ones.

    Raises FileNotFoundError for a missing one, and Refused for a link or a file that somebody else put in the way.
    """
    names, links = _names(path), 0
    parent, resolved, trusted = os.open("/", DIRECTORY), "", True
    trusted = owned_by_root_alone(os.fstat(parent))
    try:
        while len(names) > 1:
            name = names.pop(0)
            try:
                inner = _enter(parent, name, make and trusted)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                target, links = _target(parent, name, resolved, trusted), links + 1
                if links > LINKS:
                    raise Refused("%s is a circle of links." % path) from None
                names = _names(os.path.normpath(os.path.join(resolved or "/", target))) + names
                os.close(parent)
                parent, resolved, trusted = os.open("/", DIRECTORY), "", owned_by_root_alone(os.stat("/"))
                continue
            os.close(parent)
            parent, resolved = inner, resolved + "/" + name
            trusted = trusted and owned_by_root_alone(os.fstat(parent))
        return Place(parent, names[0], resolved + "/" + names[0], trusted)
    except BaseException:
        os.close(parent)
        raise


def _names(path: str) -> List[str]:
    names = [name for name in path.split("/") if name not in ("", ".")]
    if not path.startswith("/") or not names or ".." in names:
        raise Refused("%s is no path from the root." % path)
    return names


def _enter(parent: int, name: str, make: bool) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        os.mkdir(name, 0o755, dir_fd=parent)
        return os.open(name, DIRECTORY, dir_fd=parent)


def _target(parent: int, name: str, above: str, trusted: bool) -> str:
    """Where a link of root's own leads; a link of anybody else's is refused."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        raise Refused("%s/%s is in the way: it should be a directory. Move it away first." % (above, name))
    if not trusted:
        raise Refused(
            "%s/%s is a link where others than root may write: not followed. Look who put it there, and remove it."
            % (above, name)
        )
    return os.readlink(name, dir_fd=parent)


def owned_by_root_alone(status: os.stat_result) -> bool:
    """Whether nobody but root can change what lies in this directory; rights by ACL show in the group's."""
    others = status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0)
    return status.st_uid == 0 and not others


def moved_by_its_owner_alone(status: os.stat_result) -> bool:
    """Whether only its owner, or root, can have put this directory where it is: moving one takes writing to it."""
    return not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def describe(status: os.stat_result) -> str:
    """Owner, group and mode: `rosey:rosey 0755`."""
    return "%s:%s %04o" % (*names_of(status), stat.S_IMODE(status.st_mode))


def names_of(status: os.stat_result) -> Tuple[str, str]:
    """Owner and group, as numbers where they have no name."""
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return owner, group
