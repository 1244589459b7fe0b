"""Databases that are no files of ours: dumped and restored by the application's own commands, as its account."""

from __future__ import annotations

import os
import time
from typing import Callable, Dict, List

from .errors import Refused, StepFailed
from .files import fsync_path, read_json, sha256_file, unlink, write_all, write_atomic
from .limits import MARGIN, Record
from .one_off import OneOff, asked_of, said_of
from .processes import Tools
from .tree import Tree
from .units import taken


def dumps_of(roles: List[Record]) -> Dict[str, Record]:
    """The dumps of roles by the names of their files in a backup, each with its role and units."""
    return {
        "%s-%s.dump" % (role["role"], dump["name"]): {**dump, "role": role["role"], "units": role["units"]}
        for role in roles
        for dump in role.get("dumps", ())
    }


def unfinished(tree: Tree) -> Dict[str, str]:
    """The dumps that a command may have read in by half, each with the backup that holds what was there before."""
    noted = read_json(tree.restoring, None)
    return dict(noted.get("dumps", {})) if isinstance(noted, dict) else {}


def refuse_unfinished(tree: Tree) -> None:
    """Raise Refused while a restore by commands is cut off: what is there may be of two databases."""
    left = unfinished(tree)
    if left:
        sentence = (
            "A restore was cut off while a command read in %s: what is there may be half of it. %s brings %s back."
        )
        how = " and ".join("`restore_data SERVER %s`" % backup for backup in sorted(set(left.values())))
        raise Refused("restore_unfinished", sentence % (" and ".join(left), how, "what was there before"))


class Dumper:
    """Has the live release dump and restore; what it says beside the data goes to `log`."""

    def __init__(
        self, tree: Tree, tools: Tools, log: Callable[[str], None], tick: Callable[[], None] = lambda: None
    ) -> None:
        self._tree = tree
        self._tools = tools
        self._log = log
        self._tick = tick

    def dump(self, dump: Record, path: str, ends: float) -> Record:
        """What the command prints, as a file that is on disk when this returns; raises StepFailed, OSError."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)

        def take(block: bytes) -> None:
            free = os.statvfs(self._tree.backups)
            if free.f_bavail * free.f_frsize < MARGIN + len(block):
                raise StepFailed("disk_full", "There is no room on this server for a dump of %s." % dump["name"])
            write_all(fd, block)

        try:
            self._run(dump, dump["dump"], ends, take, -1)
        except BaseException:
            unlink(path)
            raise
        finally:
            os.close(fd)
        fsync_path(path)
        digest = sha256_file(path)
        write_atomic(path + ".sha256", ("%s  %s\n" % (digest, os.path.basename(path))).encode(), 0o400)
        return {"copy": path, "sha256": digest, "bytes": os.stat(path).st_size}

    def restore(self, dump: Record, path: str, ends: float) -> None:
        """Give the command what it once printed. Raises StepFailed."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._run(dump, dump["restore"], ends, lambda block: None, fd)
        finally:
            os.close(fd)

    def _run(self, dump: Record, words: List[str], ends: float, take: Callable[[bytes], None], source: int) -> None:
        known = taken(self._tree).get("units", {})
        unit = next((unit for unit in dump["units"] if unit.endswith(".service") and unit in known), "")
        within = max(1.0, ends - time.monotonic())
        asked = asked_of(dump["role"], unit, "current", list(words), within)
        size = os.fstat(source).st_size if source >= 0 else 0
        command = OneOff(self._tree, self._tools, {**asked, "apart": True, "input": size})
        try:
            command.exchange(ends, take, source if size else -1, self._tick)
        except BaseException:
            command.end()
            raise
        for line in command.errors.decode(errors="replace").splitlines()[:-1]:  # the last one is root's
            self._log(line)
        result, code = command.told()
        if code or result != "success":
            sentence = "%s of the database %s %s." % (words[0], dump["name"], said_of(result, code, within))
            raise StepFailed("dump_failed", sentence, exit_code=code)
