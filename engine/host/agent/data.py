"""The copies of an application's databases: listed, proven in a scratch directory, and brought back."""

from __future__ import annotations

import os
import re
import time
from typing import Dict, Iterator, List, Optional, Tuple

from .databases import copy_database, count_rows
from .dumps import Dumper, dumps_of, unfinished
from .errors import Refused, StepFailed
from .files import canonical, delete, fsync_path, names_in, read_bytes, read_json, sha256_file, unlink, write_atomic
from .limits import MARGIN, Record
from .live_database import copy_bytes, open_below, remove_copy
from .processes import Tools
from .recorder import outcome
from .request import check_roles
from .tree import Tree
from .wire import Frames, Stream

BACKUP_NAME = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9._-]{1,60}")
BESIDE = ("-wal", "-journal", "-shm")
"""What SQLite keeps beside a database: of no use to another one, and harmful."""
ASIDE = ".before-restore"


def databases_of(roles: List[Record]) -> Dict[str, str]:
    """The databases of roles by the names that their copies have."""
    return {name.replace("/", "_"): name for role in roles for name in role["databases"]}


def list_backups(tree: Tree, roles: List[Record]) -> List[Record]:
    """Every backup, the newest first, with what it holds and whether that is what was written."""
    names = [name for name in names_in(tree.backups) if BACKUP_NAME.fullmatch(name)]
    known = {**databases_of(roles), **{file: str(dump["name"]) for file, dump in dumps_of(roles).items()}}
    return [{"name": name, "databases": _holds(tree, name, known)} for name in reversed(names)]


def _holds(tree: Tree, backup: str, known: Dict[str, str]) -> List[Record]:
    directory = os.path.join(tree.backups, backup)
    found = []
    for copy in names_in(directory):
        if copy in known:
            path = os.path.join(directory, copy)
            found.append({"database": known[copy], "bytes": os.lstat(path).st_size, "whole": _whole(path)})
    return found


def _whole(path: str) -> bool:
    try:
        return read_bytes(path + ".sha256").split()[:1] == [sha256_file(path).encode()]
    except OSError:
        return False


def verb_data(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """List the backups; with `check`, bring one of them into a scratch directory and say what is in it."""
    request = frames.request()
    check_roles(request["roles"])
    if not request["check"]:
        found = list_backups(tree, request["roles"])
        return outcome("succeeded", "listed", "%d backups." % len(found), backups=found)
    work = Restoration(tree, request["roles"], str(request["check"]))
    try:
        rows = work.rehearse()
    except StepFailed as error:
        return outcome("failed", error.reason, str(error))
    finally:
        work.clear()
    return outcome("succeeded", "whole", work.said_of(rows), rows=rows)


class Restoration:
    """One backup on its way back. Nothing of the application's is opened by SQLite, and no link of its is followed."""

    def __init__(self, tree: Tree, roles: List[Record], backup: str, dumper: Optional[Dumper] = None) -> None:
        self._tree = tree
        self._dumper = dumper or Dumper(tree, Tools("data", tree.root), lambda line: None)
        self._dumps = dumps_of(roles)
        self._begun = unfinished(tree)  # dumps that a command may have read in by half: the backups of what was there
        self.kept = ""
        self._backup = backup
        self._scratch = os.path.join(tree.backups, ".check-restore")
        self._known = databases_of(roles)
        if not BACKUP_NAME.fullmatch(backup) or backup not in names_in(tree.backups):
            raise Refused("no_backup", "There is no backup %s on this server." % backup)
        held = names_in(os.path.join(tree.backups, backup))
        self._copies = [copy for copy in held if copy in self._known]
        self._dumped = [file for file in held if file in self._dumps]
        if not self._copies and not self._dumped:
            raise Refused("no_backup", "The backup %s holds none of the databases of what runs." % backup)

    def rehearse(self) -> Record:
        """Bring it into a directory of our own and look at it: digests, SQLite's own check, the rows."""
        delete(self._scratch)
        os.mkdir(self._scratch, 0o700)
        found: Record = {}
        for copy in self._copies:
            source = os.path.join(self._tree.backups, self._backup, copy)
            if not _whole(source):
                raise StepFailed("backup_damaged", "%s in %s is not what was written." % (copy, self._backup))
            self._room_for(source)
            target = os.path.join(self._scratch, copy)
            _duplicate(source, target)
            _check(target, copy)
            found[self._known[copy]] = count_rows(target, copy)
        for file in self._dumped:
            if not _whole(os.path.join(self._tree.backups, self._backup, file)):
                raise StepFailed("backup_damaged", "%s in %s is not what was written." % (file, self._backup))
            found[str(self._dumps[file]["name"])] = {}
        return found

    def said_of(self, rows: Record) -> str:
        """What a rehearsal has looked at, as a sentence."""
        tables = sum(len(counted) for counted in rows.values())
        said = []
        if self._copies:
            restored = "%s was restored into a scratch directory: %d databases, %d tables, as they were written."
            said.append(restored % (self._backup, len(self._copies), tables))
        if self._dumped:
            whole = "Of %s the digest of %s was compared: as it was written, and not read in."
            said.append(whole % (self._backup, " and ".join(self._dumped)))
        return " ".join(said)

    def clear(self) -> None:
        """Have nothing left of the rehearsal."""
        delete(self._scratch)

    def set_aside(self, mark: str, ends: float) -> str:
        """A backup of what is there now, by the name that it is listed under; its databases stay where they are."""
        name = "%s-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), mark)
        directory = os.path.join(self._tree.backups, name)
        os.mkdir(directory, 0o700)
        for copy in self._copies:
            path = os.path.join(directory, copy)
            try:
                copy_database(self._tree.data, self._known[copy], path)
            except FileNotFoundError:
                continue
            write_atomic(path + ".sha256", ("%s  %s\n" % (sha256_file(path), copy)).encode(), 0o400)
        for file in self._dumped:
            if file not in self._begun:  # of one that was cut off what was there is kept already
                self._dumper.dump(self._dumps[file], os.path.join(directory, file), ends)
        if self._begun and not names_in(directory):
            os.rmdir(directory)
            name = next(iter(self._begun.values()))
        fsync_path(self._tree.backups)
        self.kept = name
        return name

    def swap(self, ends: float) -> None:
        """Put what was rehearsed in the place of what is there, which stays beside it until `forget` or `undo`."""
        there = {self._known[copy]: False for copy in self._copies}
        for name in there:
            for directory, base in places(self._tree, name):
                for ending in (*BESIDE, ""):
                    _drop(directory, base + ending + ASIDE)  # of one that was cut off: its backup holds the same
                there[name] = _is_there(directory, base)
        write_atomic(self._tree.restoring, canonical({"databases": there, "dumps": self._begun}))
        for copy in self._copies:
            for directory, base in places(self._tree, self._known[copy]):
                path = os.path.join(self._scratch, copy)
                os.chown(path, -1, os.fstat(directory).st_gid)
                os.chmod(path, 0o660)
                fsync_path(path)
                for ending in (*BESIDE, ""):
                    _move(directory, base + ending, base + ending + ASIDE)
                os.rename(path, base, dst_dir_fd=directory)
                os.fsync(directory)
        for file in self._dumped:
            self._begun.setdefault(file, self.kept)
            write_atomic(self._tree.restoring, canonical({"databases": there, "dumps": self._begun}))
            self._dumper.restore(self._dumps[file], os.path.join(self._tree.backups, self._backup, file), ends)

    def undo(self, ends: float) -> None:
        """What was there is there again; what was not begun with stays, with what SQLite keeps beside it.

        Raises StepFailed when a command says no, after all were tried; whoever asked is told, so nothing waits for it.
        """
        settle_restore(self._tree)
        problem: Optional[Exception] = None
        for file in [file for file in self._begun if file in self._dumps]:
            try:
                path = os.path.join(self._tree.backups, self._begun[file], file)
                self._dumper.restore(self._dumps[file], path, ends)
            except (StepFailed, OSError) as error:
                problem = problem or error
        unlink(self._tree.restoring)
        if problem is not None:
            raise problem

    def forget(self) -> None:
        """What was there is in its backup, and nowhere else."""
        noted = read_json(self._tree.restoring, {})
        left = {file: backup for file, backup in self._begun.items() if file not in self._dumped}
        write_atomic(self._tree.restoring, canonical({**noted, "dumps": left, "stays": True}))
        settle_restore(self._tree)

    def _room_for(self, source: str) -> None:
        free = os.statvfs(self._tree.root)
        if free.f_bavail * free.f_frsize < 3 * os.stat(source).st_size + MARGIN:
            raise StepFailed("disk_full", "There is no room on this server for the copies that a restore needs.")


def settle_restore(tree: Tree) -> bool:
    """End a restore, also one that was cut off anywhere: taken back unless it was proven. Whether there was one.

    What was to be done is on disk before it begins, and each rename leaves something that this goes on from: while the
    old database lies aside, what is in its place is the new one. What commands read in waits: see `refuse_unfinished`.
    """
    noted, waiting = read_json(tree.restoring, None), unfinished(tree)
    if not isinstance(noted, dict) or (waiting and not noted["databases"]):
        return False
    for name, there in noted["databases"].items():
        for directory, base in places(tree, name):
            if noted.get("stays"):
                for ending in (*BESIDE, ""):
                    _drop(directory, base + ending + ASIDE)
            elif _is_there(directory, base + ASIDE) or not there:
                for ending in (*BESIDE, *(() if there else ("",))):
                    _drop(directory, base + ending)
            for ending in () if noted.get("stays") else ("", *BESIDE):
                _move(directory, base + ending + ASIDE, base + ending)
            os.fsync(directory)
    if waiting:
        write_atomic(tree.restoring, canonical({"databases": {}, "dumps": waiting}))
    else:
        unlink(tree.restoring)
        fsync_path(tree.deploy)
    return True


def places(tree: Tree, name: str) -> Iterator[Tuple[int, str]]:
    """The directory of a database, opened without following links, and its name in it."""
    parent, base = os.path.split(name)
    directory = open_below(tree.data, parent, os.O_RDONLY | os.O_DIRECTORY) if parent else _open(tree.data)
    try:
        yield directory, base
    finally:
        os.close(directory)


def _is_there(directory: int, name: str) -> bool:
    try:
        os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _duplicate(source: str, target: str) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        copy_bytes(fd, target, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _check(path: str, said: str) -> None:
    import sqlite3

    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA trusted_schema=OFF")
        answer = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        answer = str(error)
    finally:
        database.close()
    remove_copy(path, BESIDE)
    if answer != "ok":
        raise StepFailed("backup_damaged", "SQLite says of %s: %s." % (said, answer))


def _move(directory: int, name: str, other: str) -> None:
    try:
        os.rename(name, other, src_dir_fd=directory, dst_dir_fd=directory)
    except FileNotFoundError:
        pass


def _drop(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
