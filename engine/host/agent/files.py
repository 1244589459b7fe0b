"""Files and links that are whole at every moment, and on disk when it matters."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any, List, Optional

from .limits import BLOCK


def fsync_path(path: str) -> None:
    """Have the disk hold a file's content, or a directory's entries."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_bytes(path: str) -> bytes:
    """A file's content; OSError when it cannot be had."""
    with open(path, "rb") as file:
        return file.read()


def read_json(path: str, default: Any) -> Any:
    """What a JSON file of ours holds; `default` when it is not there or a power cut tore it."""
    try:
        return json.loads(read_bytes(path))
    except (OSError, ValueError):
        return default


def write_atomic(path: str, content: bytes, mode: int = 0o644, sync: bool = True) -> None:
    """Old content or new content, never half of it."""
    temporary = "%s.%d.tmp" % (path, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            write_all(fd, content)
            os.fchmod(fd, mode)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        unlink(temporary)
        raise
    if sync:
        fsync_path(os.path.dirname(path))


def write_all(fd: int, content: bytes) -> None:
    """Write all of it, however little the kernel takes at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def unlink(path: str) -> None:
    """Have no such file, whether or not there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def readlink(path: str) -> Optional[str]:
    """What a link points to; None for no link."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def swap_link(path: str, target: str) -> None:
    """Point a link elsewhere by one rename, on disk when this returns."""
    temporary = "%s.%d.new" % (path, os.getpid())
    unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, path)
    fsync_path(os.path.dirname(path))


def discard(path: str) -> None:
    """Take a directory away by a rename: nothing half-deleted ever looks whole, and nobody waits for the deleting."""
    parent, name = os.path.split(path)
    try:
        os.rename(path, os.path.join(parent, ".trash-%s-%d" % (name.lstrip("."), time.time_ns())))
    except FileNotFoundError:
        pass


def delete(path: str) -> None:
    """Delete a directory that nothing refers to; somebody else may be at it, too."""
    try:
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                delete(entry.path)
            else:
                unlink(entry.path)
        os.rmdir(path)
    except FileNotFoundError:
        pass


def names_in(path: str) -> List[str]:
    """What a directory holds, sorted; nothing for a directory that is not there."""
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def sha256_file(path: str) -> str:
    """Digest of a file, in hexadecimal; a link is not followed."""
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while True:
            block = os.read(fd, BLOCK)
            if not block:
                return digest.hexdigest()
            digest.update(block)
    finally:
        os.close(fd)


def canonical(value: Any) -> bytes:
    """The one JSON text of a value, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def now_iso() -> str:
    """The time in UTC, to the millisecond."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%03dZ" % (seconds % 1 * 1000)


def exchange(one: str, other: str) -> None:
    """Two directories change names in one step (renameat2 with RENAME_EXCHANGE, Linux 3.15)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), one)


def modified(path: str) -> float:
    """When a file was changed last; 0 for one that is gone."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
