"""A tree of files that a release can be made from: a directory, or one commit of a repository (see `git`)."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from engine.artifacts.errors import UnknownSource
from engine.artifacts.paths import why_unsafe
from engine.artifacts.problems import Problem

LARGEST = 2 << 30
"""Bytes: of what is uploaded as a release, built as one, or fetched to build one."""
MOST_FILES = 200_000
"""Of a commit that a release is built from, below its directory; each costs memory before anything is excluded."""

# Never part of a release: bytecode is made on the servers, beside the release, by the Python that will run it.
NEVER = frozenset({".git", "__pycache__"})
NEVER_SUFFIX = ".pyc"

_MODULES = ".gitmodules"
_MODULES_READ = 1 << 20
"""Bytes of it: of each submodule it has a few lines."""
_MAX_LINKS = 40  # as Linux follows, path_resolution(7)


class Kind(Enum):
    """What lies at a path of a tree."""

    FILE = "a file"
    LINK = "a symbolic link"
    SUBMODULE = "a repository within the repository"
    SPECIAL = "a pipe, socket or device"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a tree that is not a directory."""

    kind: Kind
    executable: bool = False


class SourceTree(Protocol):
    """What a release can be made from. Paths are relative, with `/`; undecodable bytes are surrogates."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Everything in the tree by path, directories excepted."""

    def read(self, path: str) -> bytes:
        """The content of a file, or where a symbolic link points."""


class DirectoryTree:
    """The files of a directory as they lie there now; symbolic links are not followed."""

    def __init__(self, root: Path, paths: Iterable[str] | None = None) -> None:
        """The whole of `root`, or only these `paths` of it; paths that do not exist are left out."""
        self.root = root
        self._paths = None if paths is None else list(paths)

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Everything below the root, except what no release ever contains. Raises UnknownSource if unreadable."""
        try:
            if self._paths is None:
                found = dict(_walk(self.root, ""))
                return found | dict.fromkeys(_left_out(self.root, found), Entry(Kind.SUBMODULE))
            named = ((path, _entry_at(self.root / path)) for path in self._paths if not _never(path))
            return {path: entry for path, entry in named if entry}
        except OSError as error:
            raise UnknownSource(f"{error.filename} cannot be read: {error.strerror}.") from error

    def read(self, path: str) -> bytes:
        """The content of a file, or where a symbolic link points. Raises UnknownSource if unreadable."""
        try:
            if self.entries[path].kind is Kind.LINK:
                return os.readlink(os.fsencode(self.root / path))  # noqa: PTH115  # pathlib tidies what it reads
            with open(self.root / path, "rb", opener=_without_following) as file:
                return file.read()
        except OSError as error:
            raise UnknownSource(f"{path} cannot be read: {error.strerror}.") from error


@dataclass(frozen=True)
class Overlaid:
    """A tree in which one file has another content."""

    tree: SourceTree
    path: str
    content: bytes

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Those of the tree."""
        return self.tree.entries

    def read(self, path: str) -> bytes:
        """As the tree has it, but for the one file."""
        return self.content if path == self.path else self.tree.read(path)


def _without_following(path: str, flags: int) -> int:
    # a file that was exchanged for a link or a pipe since it was listed must neither lead out nor block
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, Entry]]:
    with os.scandir(directory) as found:
        for item in sorted(found, key=lambda each: each.name):
            if _never(item.name):
                continue
            if item.is_dir(follow_symlinks=False):
                yield from _walk(Path(item.path), f"{prefix}{item.name}/")
            else:
                yield prefix + item.name, _entry(item.stat(follow_symlinks=False).st_mode)


def _left_out(root: Path, found: Mapping[str, Entry]) -> Iterator[str]:
    """Submodules of which a copy without git has an empty directory alone."""
    if _MODULES not in found or found[_MODULES].kind is not Kind.FILE:
        return
    with open(root / _MODULES, "rb", opener=_without_following) as file:
        named = _module_paths(file.read(_MODULES_READ))
    filled = {path[: path.rindex("/")] for path in found if "/" in path}
    filled |= {str(parent) for path in filled for parent in PurePosixPath(path).parents}
    for path in named:
        if path not in filled and path not in found and why_unsafe(path) is None and (root / path).is_dir():
            yield path


def _module_paths(content: bytes) -> set[str]:
    """What .gitmodules says of `path`, line by line."""
    pairs = (line.partition(b"=") for line in content.splitlines())
    return {os.fsdecode(value.strip().strip(b'"')) for name, _, value in pairs if name.strip() == b"path"} - {""}


def _entry_at(path: Path) -> Entry | None:
    try:
        return _entry(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _entry(mode: int) -> Entry:
    if stat.S_ISREG(mode):
        return Entry(Kind.FILE, executable=bool(mode & 0o111))
    if stat.S_ISLNK(mode):
        return Entry(Kind.LINK)
    return Entry(Kind.SUBMODULE if stat.S_ISDIR(mode) else Kind.SPECIAL)


def _never(path: str) -> bool:
    return path.endswith(NEVER_SUFFIX) or not NEVER.isdisjoint(path.split("/"))


def resolve(tree: SourceTree, path: str) -> str | Problem:
    """The file that `path` stands for, symbolic links followed within the tree; the problem if there is none."""
    pending, done, links = path.split("/")[::-1], list[str](), 0
    while pending:
        name = pending.pop()
        if name in {"", "."}:
            continue
        if name == "..":
            if not done:
                return _escapes(path)
            done.pop()
            continue
        done.append(name)
        entry = tree.entries.get("/".join(done))
        if entry is not None and entry.kind is Kind.LINK:
            links += 1
            target = os.fsdecode(tree.read("/".join(done)))
            if target.startswith("/"):
                return _escapes(path)
            if links > _MAX_LINKS:
                return _broken(path, "leads in a circle")
            done.pop()
            pending += target.split("/")[::-1]
        elif pending and entry is not None:
            return _broken(path, f"leads through {'/'.join(done)!r}, which is no directory")
        elif pending and not _is_directory(tree, "/".join(done)):
            break
    final = "/".join(done)
    entry = tree.entries.get(final)
    if entry is not None and entry.kind is Kind.FILE:
        return final
    if entry is None:
        is_directory = not pending and _is_directory(tree, final)
        return _broken(path, "leads to a directory" if is_directory else f"leads to {final!r}, which does not exist")
    return _broken(path, f"leads to {entry.kind.value}")


def _is_directory(tree: SourceTree, path: str) -> bool:
    return not path or any(other.startswith(f"{path}/") for other in tree.entries)


def _escapes(path: str) -> Problem:
    hint = "A release holds copies of files of the tree: replace the link by the file, or exclude it."
    return Problem(path, "is a symbolic link that leads out of the tree", hint, "symlink_escapes")


def _broken(path: str, how: str) -> Problem:
    hint = "Only links to files of the tree are stored, as copies: correct the link, or exclude it."
    return Problem(path, f"is a symbolic link that {how}", hint, "symlink_broken")
