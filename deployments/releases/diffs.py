"""What differs between two releases, and between two sets of configuration files, as people read it."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.artifacts.artifact import ArtifactReader
from engine.artifacts.manifest import Manifest, ManifestFile
from engine.host.provision.unit_rules import UNIT_NAME

MAX_TEXT = 64 * 1024
"""Bytes up to which a file's lines are compared; larger ones are named only."""
MAX_FILES = 60
"""Files whose lines are compared on one page."""
FEW_FILES = 5
"""Files whose lines are shown without a click."""
MAX_LINES = 400
"""Lines shown of one file's difference."""

WHEELS = "wheels/"
"""Where packages lie in a release: they are counted and listed apart."""
BEYOND = "many files changed; this one is only named"

Mask = Callable[[str], str]


@dataclass(frozen=True)
class Line:
    """One line of a difference."""

    kind: Literal["added", "removed", "place", "same"]
    text: str


@dataclass(frozen=True)
class FileChange:
    """One file that differs. `lines` is None when its text is not shown; `why` says why not."""

    path: str
    kind: Literal["added", "changed", "removed"]
    before: int | None = None
    after: int | None = None
    lines: list[Line] | None = None
    why: str = ""
    cut: bool = False

    @property
    def added(self) -> int:
        """Lines shown that are new."""
        return sum(line.kind == "added" for line in self.lines or ())

    @property
    def removed(self) -> int:
        """Lines shown that are gone."""
        return sum(line.kind == "removed" for line in self.lines or ())


@dataclass(frozen=True)
class Totals:
    """How much differs; `partly` where lines of some files are not compared or not all shown."""

    files: int
    added: int
    removed: int
    partly: bool


def totals(changes: Iterable[FileChange]) -> Totals:
    """Of these files together."""
    rows = list(changes)
    partly = any(row.lines is None or row.cut for row in rows)
    return Totals(len(rows), sum(row.added for row in rows), sum(row.removed for row in rows), partly)


@dataclass(frozen=True)
class ReleaseChanges:
    """The files that differ; wheels apart, since their names say it all."""

    files: list[FileChange] = field(default_factory=list)
    wheels: list[FileChange] = field(default_factory=list)
    bytes_new: int = 0

    @property
    def shown(self) -> list[FileChange]:
        """Files to look at one by one."""
        return [change for change in self.files if change.why != BEYOND]

    @property
    def few(self) -> bool:
        """Whether all lines fit a page that shows them at once."""
        return len(self.shown) <= FEW_FILES

    @property
    def beyond(self) -> list[FileChange]:
        """Files beyond the MAX_FILES whose lines are compared."""
        return [change for change in self.files if change.why == BEYOND]

    @property
    def units(self) -> list[str]:
        """Unit files among them, by name: systemd is told of these before anything restarts."""
        return changed_units(change.path for change in self.files)

    def __bool__(self) -> bool:
        return bool(self.files or self.wheels)


def changed_units(paths: Iterable[str]) -> list[str]:
    """The names of the unit files among paths of a release."""
    return sorted(name for path in paths if UNIT_NAME.fullmatch(name := path.rpartition("/")[2]))


def release_changes(
    new: ArtifactReader, new_files: Manifest, old: ArtifactReader | None, old_files: Manifest | None, mask: Mask
) -> ReleaseChanges:
    """What a server with these files of `old` would get: with texts where they are small. Reads both artifacts."""
    before = old_files or Manifest([])
    diff = new_files.diff(before)
    files: list[FileChange] = []
    wheels: list[FileChange] = []
    texts = 0
    for path in sorted((*diff.added, *diff.changed, *diff.removed)):
        was, will = before.by_path.get(path), new_files.by_path.get(path)
        kind: Literal["added", "changed", "removed"] = "changed" if was and will else "added" if will else "removed"
        sizes = (was.size if was else None, will.size if will else None)
        if path.startswith(WHEELS):
            wheels.append(FileChange(path, kind, *sizes))
            continue
        if why := _why_not_shown(was, will, texts) or ("what it was is not here" if was and old is None else ""):
            files.append(FileChange(path, kind, *sizes, why=why))
            continue
        texts += 1
        old_bytes = old.read(path) if was and old else b""
        files.append(_compared(path, kind, sizes, old_bytes, new.read(path) if will else b"", mask))
    absent = new_files.absent_from(before)
    return ReleaseChanges(files, wheels, sum(new_files.by_path[path].size for path in absent))


def configuration_changes(old: Mapping[str, str], new: Mapping[str, str], mask: Mask) -> list[FileChange]:
    """The configuration files that differ, with their lines."""
    found = []
    for name in sorted({*old, *new}):
        was, will = old.get(name), new.get(name)
        if was == will:
            continue
        kind: Literal["added", "changed", "removed"] = (
            "changed" if was is not None and will is not None else "added" if will is not None else "removed"
        )
        sizes = (None if was is None else len(was.encode()), None if will is None else len(will.encode()))
        found.append(_compared(name, kind, sizes, (was or "").encode(), (will or "").encode(), mask))
    return found


def _why_not_shown(was: ManifestFile | None, will: ManifestFile | None, texts: int) -> str:
    if was and will and was.sha256 == will.sha256:
        return "only its mode changed"
    if max(file.size for file in (was, will) if file) > MAX_TEXT:
        return "too large to be shown"
    return BEYOND if texts >= MAX_FILES else ""


def _compared(
    path: str,
    kind: Literal["added", "changed", "removed"],
    sizes: tuple[int | None, int | None],
    old: bytes,
    new: bytes,
    mask: Mask,
) -> FileChange:
    try:
        before, after = (mask(content.decode()).splitlines() for content in (old, new))
    except UnicodeDecodeError:
        return FileChange(path, kind, *sizes, why="not text")
    lines = [_line(text) for text in list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]]
    return FileChange(path, kind, *sizes, lines=lines[:MAX_LINES], cut=len(lines) > MAX_LINES)


def _line(text: str) -> Line:
    kinds: dict[str, Literal["added", "removed", "place"]] = {"+": "added", "-": "removed", "@": "place"}
    return Line(kinds.get(text[:1], "same"), text)
