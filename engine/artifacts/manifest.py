"""The files of a release: path, mode, sha256 and size of each, in an order and form that has one digest."""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from engine.artifacts.errors import ArtifactCorrupt
from engine.artifacts.paths import why_unsafe

if TYPE_CHECKING:
    from engine.artifacts.deploy_toml import DeployToml

PLAIN = 0o444
EXECUTABLE = 0o555
MAX_SIZE = 8 * 1024**3 - 1  # what the size field of a tar header holds (POSIX ustar: eleven octal digits)
WHEELS = "wheels"

_SHA256 = re.compile(r"[0-9a-f]{64}")

Row = tuple[str, int, str, int]


def normalised(mode: int) -> int:
    """0o555 for what somebody may execute, else 0o444: releases are never written to."""
    return EXECUTABLE if mode & 0o111 else PLAIN


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file of a release. Raises ValueError for what no release may contain; sizes are bytes."""

    path: str
    mode: int
    sha256: str
    size: int

    def __post_init__(self) -> None:
        unsafe = why_unsafe(self.path)
        if unsafe:
            raise ValueError(f"the path {self.path!r} {unsafe}")
        if self.mode not in {PLAIN, EXECUTABLE}:
            raise ValueError(f"{self.path} has the mode {self.mode:o}, not 444 or 555")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.path} has no proper sha256")
        if not 0 <= self.size <= MAX_SIZE:
            raise ValueError(f"{self.path} has the impossible size {self.size}")

    @property
    def row(self) -> Row:
        """The file as the manifest's JSON has it."""
        return (self.path, self.mode, self.sha256, self.size)


@dataclass(frozen=True, slots=True)
class ManifestDiff:
    """How a manifest differs from an older one: sorted paths."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True)
class Manifest:
    """The files of a release, sorted by path. Raises ValueError when two entries cannot lie in one directory tree."""

    files: tuple[ManifestFile, ...]

    def __init__(self, files: Iterable[ManifestFile]) -> None:
        ordered = tuple(sorted(files, key=attrgetter("path")))
        directories: set[str] = set()
        for file in ordered:
            parent = file.path.rpartition("/")[0]
            while parent and parent not in directories:
                directories.add(parent)
                parent = parent.rpartition("/")[0]
        seen: set[str] = set()
        for file in ordered:
            if file.path in seen or file.path in directories:
                raise ValueError(f"{file.path} is there twice, or is a file and a directory")
            seen.add(file.path)
        object.__setattr__(self, "files", ordered)

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[object]]) -> "Manifest":
        """A manifest from `[path, mode, sha256, size]` rows. Raises ArtifactCorrupt for anything else."""
        files = []
        try:
            for path, mode, sha256, size in rows:
                if not (isinstance(path, str) and isinstance(sha256, str) and type(mode) is type(size) is int):
                    raise ValueError("a row is not [path, mode, sha256, size]")
                files.append(ManifestFile(path, mode, sha256, size))
            return cls(files)
        except (TypeError, ValueError) as error:
            raise ArtifactCorrupt(f"The manifest cannot be used: {error}.", hint="Build the release again.") from error

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """A manifest from its canonical JSON. Raises ArtifactCorrupt for any other bytes."""
        return _from_json(content)

    @property
    def rows(self) -> list[Row]:
        """The files as JSON has them, sorted by path."""
        return [file.row for file in self.files]

    def to_json(self) -> bytes:
        """The canonical JSON: `[[path, mode, sha256, size],…]`, sorted, ASCII, without spaces."""
        return json.dumps(self.rows, sort_keys=True, separators=(",", ":")).encode()

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical JSON, in hexadecimal: what identifies the contents of a release."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def by_path(self) -> dict[str, ManifestFile]:
        """The files by path."""
        return {file.path: file for file in self.files}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def __iter__(self) -> Iterator[ManifestFile]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def diff(self, older: "Manifest") -> ManifestDiff:
        """What this manifest adds to, changes in and removes from an older one; a mode is a change."""
        new, old = self.by_path, older.by_path
        return ManifestDiff(
            added=tuple(path for path in new if path not in old),
            changed=tuple(path for path, file in new.items() if path in old and old[path] != file),
            removed=tuple(path for path in old if path not in new),
        )

    def absent_from(self, base: "Manifest | None") -> tuple[str, ...]:
        """The paths whose contents a host with the release `base` does not have under any name."""
        known = {file.sha256 for file in base.files} if base else set()
        return tuple(file.path for file in self.files if file.sha256 not in known)

    def subset_for_roles(self, deploy: "DeployToml", roles: Collection[str]) -> "Manifest":
        """The manifest for a server with these roles: without the wheels of locks that none of them uses."""
        used = deploy.locks(roles)
        unused = {wheel_directory(lock) for lock in deploy.locks() if lock not in used}
        return Manifest(file for file in self.files if file.path.rpartition("/")[0] not in unused)


@lru_cache(maxsize=8)
def _from_json(content: bytes) -> Manifest:
    """Equal bytes are the same manifest, which nobody can change; a deployment opens its releases again and again."""
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactCorrupt("The manifest is not JSON.", hint="Build the release again.") from error
    manifest = Manifest.from_rows(rows if isinstance(rows, list) else [[]])
    if manifest.to_json() != content:
        raise ArtifactCorrupt("The manifest is not in its canonical form.", hint="Build the release again.")
    return manifest


def wheel_directory(lock: str) -> str:
    """Where the wheels of a lock lie in a release: `requirements/bot.txt` → `wheels/bot`."""
    name = lock.rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return f"{WHEELS}/{stem}"
