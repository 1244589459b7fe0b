"""The files of artifacts: which contents are needed, and which of all that lies there may go."""

import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from django.conf import settings

from deployments.models import Release
from deployments.releases.artifacts import contents
from engine.artifacts.reader import open_artifact
from engine.artifacts.wheels import sha256_of

ORPHAN_SECONDS = 86400
"""How old a file is that no release names before it counts as left over: somebody may just be storing it."""


def room(paths: Iterable[Path]) -> int:
    """Bytes of disk; what several names lead to counts once, what is gone counts nothing."""
    found = {}
    for path in paths:
        for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
            if each.exists():
                entry = each.lstat()
                found[entry.st_dev, entry.st_ino] = entry.st_blocks * 512
    return sum(found.values())


def whole_ones() -> Iterator[Release]:
    """Releases that are stored in one piece, as all were before contents were shared."""
    for release in Release.objects.exclude(artifact="").exclude(artifact_digest=""):
        path = Path(release.artifact.path)
        if path.exists() and path.stat().st_size == release.size:
            yield release


def orphans() -> list[Path]:
    """Artifacts' files that no release names."""
    named = set(Release.objects.exclude(artifact="").values_list("artifact", flat=True))
    root = Path(settings.MEDIA_ROOT)
    old = time.time() - ORPHAN_SECONDS
    files = (path for path in (root / "releases").glob("*") if path.is_file())
    return sorted(path for path in files if str(path.relative_to(root)) not in named and path.stat().st_mtime < old)


def surplus(leaving: Collection[Path] = ()) -> list[Path]:
    """What of the stored contents, and of the wheels that pip fetched, nothing needs once `leaving` have gone.

    What a damaged artifact needs cannot be known: raises ArtifactCorrupt.
    """
    stored = contents()
    if not stored.directory.is_dir():
        return []
    needed: set[str] = set()
    for path in sorted(set((Path(settings.MEDIA_ROOT) / "releases").glob("*.tar")) - set(leaving)):
        with open_artifact(path, None, stored.directory) as reader:
            needed |= {file.sha256 for file in reader.manifest}
    return [*stored.without(needed), *_wheels_without(needed)]


def _wheels_without(needed: Collection[str]) -> Iterator[Path]:
    """Sets of wheels that no release holds any more."""
    old = time.time() - ORPHAN_SECONDS
    for directory in sorted((settings.STATE_DIR / "wheels").glob("[!.]*")):
        held = any(sha256_of(path) in needed for path in directory.glob("*.whl"))
        if not held and directory.stat().st_mtime < old:
            yield directory
