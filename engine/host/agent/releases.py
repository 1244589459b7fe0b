"""Release directories: how one differs from its manifest, and how the next is built beside it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import Callable, Iterator, List, Optional, Tuple

from .errors import Refused
from .files import unlink, write_all
from .limits import BLOCK, OURS, Row
from .tree import Tree
from .wire import Frames, TarReader


def release_problems(directory: str, rows: List[Row], tick: Callable[[], None] = lambda: None) -> List[Tuple[str, str]]:
    """How a release differs from its manifest: path and what is wrong; empty when it is whole."""
    problems = []
    wanted = {row[0]: row for row in rows}
    found = set()
    for path in walk(directory):
        tick()
        if path not in wanted:
            problems.append((path, "extra"))
            continue
        found.add(path)
        why = file_problem(os.path.join(directory, path), wanted[path])
        if why:
            problems.append((path, why))
    problems += [(path, "missing") for path in wanted if path not in found]
    return sorted(problems)


def walk(directory: str, below: str = "") -> Iterator[str]:
    """Every file, link or whatever else below a release directory that is not one of our own three."""
    for entry in os.scandir(os.path.join(directory, below)):
        path = below + "/" + entry.name if below else entry.name
        if not below and entry.name in OURS:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk(directory, path)
        else:
            yield path


def file_problem(path: str, row: Row) -> Optional[str]:
    """What is wrong with one file; None when it is as the manifest says."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return "missing" if error.errno == errno.ENOENT else "unreadable"
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return "no file"
        if stat.S_IMODE(status.st_mode) != row[1]:
            return "mode"
        if status.st_size != row[3]:
            return "size"
        digest = hashlib.sha256()
        while True:
            block = os.read(fd, BLOCK)
            if not block:
                break
            digest.update(block)
        return None if digest.hexdigest() == row[2] else "content"
    finally:
        os.close(fd)


class Staging:
    """Builds a release beside the others: equal files are hard links, changed ones arrive as a tar."""

    def __init__(self, tree: Tree, rows: List[Row], directory: str) -> None:
        self._tree = tree
        self._rows = {row[0]: row for row in rows}
        self._directory = directory
        self.linked = 0
        self.received = 0
        self.received_bytes = 0

    def path(self, path: str) -> str:
        """Where a path of the release lies while it is being built."""
        return os.path.join(self._directory, path)

    def make_directories(self) -> None:
        """All directories of the manifest, so that files can be put anywhere in it."""
        os.mkdir(self._directory, 0o755)
        wanted = {os.path.dirname(path) for path in self._rows}
        for directory in list(wanted):
            while directory:
                wanted.add(directory)
                directory = os.path.dirname(directory)
        for directory in sorted(wanted - {""}):
            os.mkdir(self.path(directory), 0o755)

    def link_from(self, release: str, wanted: List[Row]) -> List[Row]:
        """Hard-link what a release on this server has with the same content and mode; what is still wanted."""
        rows = self._tree.manifest(release) or []
        index = {(row[2], row[1]): row[0] for row in rows}
        source, left = self._tree.release(release), []
        for row in wanted:
            path = index.get((row[2], row[1]))
            if path is None:
                left.append(row)
                continue
            try:
                os.link(os.path.join(source, path), self.path(row[0]), follow_symlinks=False)
                self.linked += 1
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                left.append(row)
        return left

    def copy_within(self, wanted: List[Row]) -> List[Row]:
        """The same content under another path or mode, out of what is here already."""
        have = {row[2]: path for path, row in self._rows.items() if os.path.lexists(self.path(path))}
        left = []
        for row in wanted:
            source = have.get(row[2])
            if source is None or file_problem(self.path(source), self._rows[source]):
                left.append(row)
                continue
            with open(self.path(source), "rb") as file:
                self._write(row, iter(lambda: file.read(BLOCK), b""))
        return left

    def receive(self, frames: Frames) -> None:
        """Take the files that the portal sends. Raises Refused for one that the manifest does not have."""
        tar = TarReader(frames, frames.frame(b"T"))
        for path, size in tar.members():
            row = self._rows.get(path)
            if row is None or size != row[3]:
                raise Refused("bad_request", "The tar holds files that the manifest does not have; build it again.")
            self._write(row, tar.content(size))
            self.received += 1
            self.received_bytes += size

    def _write(self, row: Row, blocks: Iterator[bytes]) -> None:
        """A fresh file; never through a link, which would change the release it is shared with."""
        target = self.path(row[0])
        unlink(target)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for block in blocks:
                write_all(fd, block)
            os.fchmod(fd, row[1])
        finally:
            os.close(fd)

    def wrong(self, rows: List[Row]) -> List[Row]:
        """Which of these files are not as the manifest says; they are taken away."""
        bad = []
        for row in rows:
            if file_problem(self.path(row[0]), row):
                unlink(self.path(row[0]))
                bad.append(row)
        return bad
