"""A copy of an SQLite database that another account may write, made without SQLite opening it there."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from typing import Dict, Tuple

from .errors import StepFailed
from .files import unlink, write_all
from .limits import BLOCK, DATABASE_TIMEOUT, MARGIN


def open_below(top: str, name: str, flags: int = os.O_RDONLY) -> int:
    """Open what another account may have put there: no link is followed in any part of `name`, no pipe waited for.

    Raises FileNotFoundError, and StepFailed for what is no plain file (with O_DIRECTORY: no directory).
    """
    said = os.path.join(top, name)
    here = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = name.split("/")
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            kind = flags if last else os.O_RDONLY | os.O_DIRECTORY
            inner = os.open(part, kind | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = inner
        if not flags & os.O_DIRECTORY and not stat.S_ISREG(os.fstat(here).st_mode):
            raise StepFailed("not_a_file", "%s is no plain file, and nothing else is read there." % said)
        found, here = here, -1
        return found
    except FileNotFoundError:
        raise
    except OSError as error:
        sentence = "%s is not read (%s): it has to be a plain file, and links are not followed."
        raise StepFailed("not_a_file", sentence % (said, error.strerror)) from error
    finally:
        if here >= 0:
            os.close(here)


class LiveDatabase:
    """An SQLite database that the application's account may write, and a copy of it that only we can.

    SQLite never opens it where it lies: it would obey what lies beside it (a journal can name another file, which is
    then deleted) and follow links. Read-only descriptors hold the locks of SQLite's own protocol for reading, so that
    nobody changes database, -wal or journal while their bytes are copied; what a crash left is settled in the copy.
    """

    WHOLE = ((0x40000000, 1), (0x40000002, 510))  # pending and shared: no commit, no checkpoint by the last to leave
    RESERVED = (0x40000001, 1)  # held while somebody writes, and then the journal is no crash's
    SHM = (120, 3)  # of -shm: writing, checkpoint, recovery
    END = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

    def __init__(self, top: str, name: str) -> None:
        self._top, self._name = top, name
        self.path = os.path.join(top, name)
        self._ends = time.monotonic() + DATABASE_TIMEOUT
        self._open: Dict[str, int] = {}

    def copy_to(self, copy: str) -> None:
        """Byte by byte, then whatever a crash left is settled there. Raises StepFailed, FileNotFoundError, OSError."""
        try:
            while not self._copied(copy):
                self._wait()
        except BaseException:
            remove_copy(copy)
            raise

    def _copied(self, copy: str) -> bool:
        """False when somebody began to use it meanwhile, in a way that the locks did not cover."""
        try:
            database = self._fd("")
            for place in self.WHOLE:
                self._lock(database, place)
            shm = self._fd_if_there("-shm")
            if shm >= 0:
                self._lock(shm, self.SHM)
            parts = {"": database, "-wal": self._fd_if_there("-wal")}
            if self._try_lock(database, self.RESERVED):
                parts["-journal"] = self._crashed_journal()
            sizes = {ending: os.fstat(fd).st_size for ending, fd in parts.items() if fd >= 0}
            self._check_room(sum(sizes.values()), copy)
            for ending, size in sizes.items():
                copy_bytes(parts[ending], copy + ending, size)
            if shm < 0 and self._fd_if_there("-shm") >= 0:
                remove_copy(copy)
                return False
        finally:
            for fd in self._open.values():
                os.close(fd)  # and its locks
            self._open = {}
        if any(sizes.get(ending) for ending in ("-wal", "-journal")):
            settle_copy(copy, sum(sizes.values()))
        remove_copy(copy, ("-wal", "-journal", "-shm"))
        return True

    def _fd(self, ending: str) -> int:
        self._open[ending] = open_below(self._top, self._name + ending)
        return self._open[ending]

    def _fd_if_there(self, ending: str) -> int:
        try:
            return self._fd(ending)
        except FileNotFoundError:
            return -1

    def _crashed_journal(self) -> int:
        fd = self._fd_if_there("-journal")
        if fd < 0 or os.pread(fd, 1, 0) in (b"", b"\0"):
            return -1  # the last transaction was finished
        if os.pread(fd, 8, max(0, os.fstat(fd).st_size - 8)) == self.END:
            raise StepFailed(
                "backup_failed",
                "%s-journal belongs to a transaction over several databases that was cut off, and only the application "
                "may finish that: start it once (systemctl start), or move the journal away." % self.path,
            )
        return fd

    def _try_lock(self, fd: int, place: Tuple[int, int]) -> bool:
        try:
            fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, place[1], place[0])
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _lock(self, fd: int, place: Tuple[int, int]) -> None:
        while not self._try_lock(fd, place):
            self._wait()

    def _wait(self) -> None:
        if time.monotonic() > self._ends:
            raise StepFailed(
                "backup_failed", "%s was locked by its application for %d s." % (self.path, DATABASE_TIMEOUT)
            )
        time.sleep(0.005)

    def _check_room(self, size: int, copy: str) -> None:
        disk = os.statvfs(os.path.dirname(copy))
        if disk.f_bavail * disk.f_frsize < size + MARGIN:
            raise StepFailed(
                "disk_full", "%s has %d MB, and there is no room for a copy of it here." % (self.path, size >> 20)
            )


def database_bytes(top: str, name: str) -> int:
    """How much an application's database takes with what it has not merged yet; what is no file counts nothing."""
    size = 0
    for ending in ("", "-wal"):
        try:
            fd = open_below(top, name + ending)
        except (FileNotFoundError, StepFailed):
            continue
        size += os.fstat(fd).st_size
        os.close(fd)
    return size


def copy_bytes(source: int, path: str, size: int) -> None:
    """As many bytes as there were when it was looked at: a file that grows meanwhile is not chased."""
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        place = 0
        while place < size:
            block = os.pread(source, min(BLOCK, size - place), place)
            if not block:
                break
            write_all(target, block)
            place += len(block)
    finally:
        os.close(target)


def remove_copy(copy: str, endings: Tuple[str, ...] = ("", "-wal", "-journal", "-shm")) -> None:
    """Have nothing left of a copy, or of what SQLite keeps beside it."""
    for ending in endings:
        unlink(copy + ending)


def settle_copy(copy: str, size: int) -> None:
    """Have SQLite play a crash's journal back, or merge the -wal, in a copy of ours. `size`: bytes that were copied."""
    import sqlite3

    try:
        database = sqlite3.connect(copy, timeout=0, isolation_level=None)
        try:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            database.close()
    except sqlite3.Error as error:
        raise StepFailed("backup_failed", "What a crash left of a database cannot be settled: %s." % error) from error
    left = sum(os.path.getsize(copy + ending) for ending in ("-wal", "-journal") if os.path.exists(copy + ending))
    if left or os.path.getsize(copy) > 2 * size + BLOCK:
        raise StepFailed("backup_failed", "What a crash left of a database (-wal or -journal) is no proper one.")
