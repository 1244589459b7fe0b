"""Files that only root may write: read, put and removed where nobody else can change the way to them."""

from __future__ import annotations

import fcntl
import os
import time

from .paths import Refused, place

LOCK_TIMEOUT = 60.0  # s


def put_root_file(path: str, content: bytes, mode: int) -> None:
    """Whole or not at all, and on disk; directories above it are made. Raises Refused where others may write."""
    with place(path, make=True) as where:
        if not where.trusted:
            raise Refused("%s lies where others than root may write." % path)
        temporary = ".%s.new" % where.name
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600, dir_fd=where.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            os.fchmod(fd, mode)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, where.name, src_dir_fd=where.parent, dst_dir_fd=where.parent)
        os.fsync(where.parent)


def remove_root_file(path: str) -> None:
    """Take it away if it is there. Raises Refused where others may write."""
    try:
        where = place(path)
    except FileNotFoundError:
        return
    with where:
        if not where.trusted:
            raise Refused("%s lies where others than root may write." % path)
        try:
            os.unlink(where.name, dir_fd=where.parent)
        except FileNotFoundError:
            return
        os.fsync(where.parent)


def remove_empty(directory: str) -> None:
    """Take away a directory that held files of ours, unless somebody has something of his own in it."""
    try:
        os.rmdir(directory)
    except OSError:
        pass


class RootLock:
    """A lock in a directory of root's: one at a time. Raises Refused when it is held for longer than a minute."""

    def __init__(self, path: str, what: str) -> None:
        self._path = path
        self._what = what

    def __enter__(self) -> "RootLock":
        with place(self._path, make=True) as where:
            if not where.trusted:
                raise Refused("%s lies where others than root may write." % self._path)
            self._fd = where.open(os.O_RDWR | os.O_CREAT)
        ends = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > ends:
                    os.close(self._fd)
                    raise Refused("%s is being worked on; nothing was done within a minute." % self._what) from None
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
