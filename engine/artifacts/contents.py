"""The contents of artifacts, each stored once under its sha256, however many releases have it.

What is left of an artifact that was taken apart is its beginning, which is the manifest. Its bytes are a function of
that and of the contents: a reader gives the same tar as before, and every digest stays what it was.
"""

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.artifacts.manifest import ManifestFile
from engine.artifacts.reader import ArtifactReader, open_artifact
from engine.artifacts.wheels import sha256_of
from engine.errors import Conflict

_LOCK = ".lock"
_DRAFTS = ".new-"
_TIMEOUT = 120.0  # s; whoever holds the lock alone takes one artifact apart, or deletes
_PAUSE = 0.1


class Contents:
    """A directory of contents: `<first two digits>/<sha256>`, read-only, each whole or not there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, sha256: str) -> Path:
        """Where a content lies, or would."""
        return self.directory / sha256[:2] / sha256

    @contextmanager
    def held(self, *, alone: bool = False) -> Iterator[None]:
        """Nothing goes while this is held; `alone`: nobody adds or copies meanwhile. Raises Conflict after 2 min."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def take_apart(self, artifact: Path, target: Path) -> None:
        """Store what a whole artifact holds, then its beginning as `target`, which may be the artifact itself.

        Everything is on disk before `target` changes, by one rename. Raises ArtifactCorrupt, OSError: `target` is as
        it was then.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        with (
            open_artifact(artifact) as reader,
            tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=self.directory) as drafts,
        ):
            self._add(reader, Path(drafts))
            _written(Path(drafts) / "beginning", reader.beginning(), 0o640)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            (Path(drafts) / "beginning").replace(target)
        sync(target.parent)

    def share(self, path: Path, sha256: str) -> None:
        """Have a file with this content, whose owner never writes to it, be another name of what is stored."""
        stored = self.path(sha256)
        if not stored.exists() or path.samefile(stored):
            return
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        try:
            os.link(stored, draft)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise  # else on another disk, or one without links: it stays a copy
            return
        draft.replace(path)

    def without(self, needed: Collection[str]) -> list[Path]:
        """What is stored and not needed, and drafts of who was interrupted. Held alone, nobody is at any of them."""
        found = []
        for directory in self.directory.iterdir():
            if directory.name.startswith(_DRAFTS):
                found.append(directory)
            elif directory.is_dir():
                found += [path for path in directory.iterdir() if path.name not in needed]
        return sorted(found)

    def _add(self, reader: ArtifactReader, drafts: Path) -> None:
        new = {file.sha256: file for file in reader.manifest if not self._whole(file)}
        for sha256, file in new.items():
            with (drafts / sha256).open("xb") as draft:
                draft.writelines(reader.pieces(file.path))
        for sha256 in new:  # all are written by now, so the disk takes most of them at once
            sync(drafts / sha256)
            (drafts / sha256).chmod(0o440)
        for sha256 in new:
            self.path(sha256).parent.mkdir(exist_ok=True, mode=0o750)
            (drafts / sha256).replace(self.path(sha256))
        for directory in {self.path(sha256).parent for sha256 in new}:
            sync(directory)
        sync(self.directory)

    def _whole(self, file: ManifestFile) -> bool:
        """Whether a content is here and has not rotted."""
        try:
            return sha256_of(self.path(file.sha256)) == file.sha256
        except OSError:
            return False


def put_together(reader: ArtifactReader, target: Path) -> None:
    """Write an artifact as the one tar that was built; it is on disk before `target` changes, by one rename.

    Raises ArtifactCorrupt, OSError: `target` is as it was then, and nothing is left beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=target.parent) as drafts:
        draft = Path(drafts) / target.name
        with draft.open("xb") as file:
            file.writelines(reader.tar())
        draft.chmod(0o640)
        sync(draft)
        draft.replace(target)
    sync(target.parent)


def _written(path: Path, content: bytes, mode: int) -> None:
    path.write_bytes(content)
    path.chmod(mode)
    sync(path)


def sync(path: Path) -> None:
    """Have the disk hold a file's content, or a directory's entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Conflict(
                    "The stored artifacts are being backed up, added to or tidied.",
                    hint="Try again when that has ended.",
                    reason="storage_busy",
                ) from None
            time.sleep(_PAUSE)
