"""One line of an account's ~/.ssh/authorized_keys, read and written with that account's rights; see as_account."""

from __future__ import annotations

import os
import stat
from typing import List, Optional

from .paths import DIRECTORY, Refused

KEYS = "authorized_keys"
LARGEST_LIST = 1 << 20  # bytes; sshd reads any size, people have a few lines


def allow(home: str, line: str, present: bool, plan: bool) -> bool:
    """Let the key of `line` in, or no longer; whether it was let in before. Other people's lines stay as they are."""
    top = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    directory = _directory(top, home, make=present and not plan)
    if directory is None:
        return False
    lines = _key_lines(directory, home)
    blob = line.split()[1]
    ours = [old for old in lines if blob in old.split() and not old.lstrip().startswith("#")]
    if bool(ours) != present and not plan:
        kept = [old for old in lines if old not in ours] + ([line] if present else [])
        os.fchmod(directory, 0o700)
        _write(directory, kept)
    return bool(ours)


def _directory(top: int, home: str, make: bool) -> Optional[int]:
    try:
        fd = os.open(".ssh", DIRECTORY, dir_fd=top)
    except FileNotFoundError:
        if not make:
            return None
        os.mkdir(".ssh", 0o700, dir_fd=top)
        fd = os.open(".ssh", DIRECTORY, dir_fd=top)
    except OSError:
        raise Refused("%s/.ssh is a link, a file or shut. Look who put it there, and remove it." % home) from None
    if os.fstat(fd).st_uid != os.getuid():
        raise Refused("%s/.ssh belongs to somebody else. Look who put it there, and remove it." % home)
    return fd


def _key_lines(directory: int, home: str) -> List[str]:
    try:
        fd = os.open(KEYS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return []
    except OSError:
        raise Refused(
            "%s/.ssh/%s is a link or unreadable. Look who put it there, and remove it." % (home, KEYS)
        ) from None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Refused("%s/.ssh/%s is no file. Look who put it there, and remove it." % (home, KEYS))
        content = file.read(LARGEST_LIST + 1)
    if len(content) > LARGEST_LIST:
        raise Refused("%s/.ssh/%s is larger than 1 MB, which no list of keys is." % (home, KEYS))
    return content.decode(errors="surrogateescape").splitlines()


def _write(directory: int, lines: List[str]) -> None:
    temporary = ".%s.%d" % (KEYS, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write("".join(line + "\n" for line in lines).encode(errors="surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, KEYS, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
