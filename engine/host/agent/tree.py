"""/opt/<name>: what lies where, the fence, and the room that is set aside for a full disk."""

from __future__ import annotations

import fcntl
import os
import sys
from typing import List, Optional, Tuple

from .errors import Refused, StepFailed
from .files import canonical, delete, names_in, read_bytes, read_json, readlink, write_atomic
from .limits import BALLAST, LEFTOVERS, Row


class Tree:
    """/opt/<name> and what lies where in it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.releases = os.path.join(root, "releases")
        self.envs = os.path.join(root, "envs")
        self.config = os.path.join(root, "shared", "config")
        self.data = os.path.join(root, "shared", "data")
        self.secrets = os.path.join(root, "shared", "secrets")
        self.backups = os.path.join(root, "backups")
        self.current = os.path.join(root, "current")
        self.deploy = os.path.join(root, ".deploy")
        self.manifests = os.path.join(self.deploy, "manifests")
        self.lock = os.path.join(self.deploy, "lock")
        self.fence = os.path.join(self.deploy, "fence")
        self.journal = os.path.join(self.deploy, "journal.jsonl")
        self.journal_old = os.path.join(self.deploy, "journal.old.jsonl")
        self.cancel = os.path.join(self.deploy, "cancel")
        self.restoring = os.path.join(self.deploy, "restoring")
        self.unsettled = os.path.join(self.deploy, "unsettled")
        self.ballast = os.path.join(self.deploy, "ballast")
        self.secret_versions = os.path.join(self.deploy, "secrets.json")
        self.rehearsal = os.path.join(self.deploy, "rehearsal")

    def release(self, name: str) -> str:
        """Where a release lies."""
        return os.path.join(self.releases, name)

    def manifest_path(self, name: str) -> str:
        """Where a release's manifest lies."""
        return os.path.join(self.manifests, name + ".json")

    def manifest(self, name: str) -> Optional[List[Row]]:
        """The files of a release; None when they are not known."""
        rows = read_json(self.manifest_path(name), None)
        return None if rows is None else [tuple(row) for row in rows]

    def current_release(self) -> Optional[str]:
        """What is live; None before the first deployment."""
        target = readlink(self.current)
        return os.path.basename(target) if target else None

    def release_names(self) -> List[str]:
        """Every release here, other than one that is still being built or already thrown away."""
        return [name for name in names_in(self.releases) if not name.startswith(".")]

    def version_of(self, release: str) -> Optional[str]:
        """What a release's .release file says."""
        try:
            text = read_bytes(os.path.join(self.release(release), ".release")).decode()
        except OSError:
            return None
        return dict(line.partition("=")[::2] for line in text.splitlines()).get("RELEASE_VERSION")

    def config_link(self, release: Optional[str]) -> Optional[str]:
        """What a release's .config points to; None for none."""
        return readlink(os.path.join(self.release(release), ".config")) if release else None

    def highest_fence(self) -> Tuple[int, str]:
        """The highest fence seen and the deployment it belongs to."""
        stored = read_json(self.fence, [0, ""])
        return int(stored[0]), str(stored[1])

    def raise_fence(self, fence: int, deployment: str) -> None:
        """Note a fence. Raises Refused for one that is outdated, or that belongs to another deployment."""
        guard = os.open(self.fence + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            seen, owner = self.highest_fence()
            if fence < seen or (fence == seen and deployment != owner):
                raise Refused(
                    "fence_outdated",
                    "This server has already heard from a newer attempt (fence %d of deployment %s; this is fence %d "
                    "of deployment %s), so nothing was changed. If the portal was restored from a backup, raise its "
                    "fences." % (seen, owner, fence, deployment),
                    highest=seen,
                )
            if fence > seen:
                write_atomic(self.fence, canonical([fence, deployment]))
        finally:
            os.close(guard)

    def check_fence(self, fence: int) -> None:
        """Every changing step asks this first. Raises StepFailed once a newer attempt has announced itself."""
        seen, owner = self.highest_fence()
        if seen > fence:
            raise StepFailed("fence_outdated", "Deployment %s has taken over with the higher fence %d." % (owner, seen))

    def drop_ballast(self) -> bool:
        """Free the room that was set aside for a full disk; False when there was none left."""
        try:
            os.unlink(self.ballast)
        except OSError:
            return False
        return True

    def fill_ballast(self) -> None:
        """Set room aside for a full disk, unless it is. Raises OSError when there is none."""
        try:
            if os.stat(self.ballast).st_size >= BALLAST:
                return
        except FileNotFoundError:
            pass
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, BALLAST)
        finally:
            os.close(fd)


def env_complete(tree: Tree, digest: str) -> bool:
    """Whole, and of this interpreter: an upgrade of Python leaves its environments without their packages."""
    marker_file = read_json(os.path.join(tree.envs, digest, ".complete"), {})
    return bool(marker_file.get("python") == "%d.%d" % sys.version_info[:2])


def clear_leftovers(tree: Tree, prefixes: Tuple[str, ...] = LEFTOVERS) -> None:
    """Delete what a run had begun to make (the lock must be held for that) or had taken away."""
    for parent in (tree.releases, tree.config, tree.envs, tree.backups):
        for name in names_in(parent):
            if name.startswith(prefixes):
                delete(os.path.join(parent, name))
