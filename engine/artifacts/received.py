"""Taking an artifact that somebody else built: nothing it says about itself is believed before it is proved."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from engine.artifacts.artifact import Artifact
from engine.artifacts.check import NO_DEPLOY_TOML, tree_problems
from engine.artifacts.deploy_toml import FILE
from engine.artifacts.errors import ArtifactCorrupt, WheelsUnavailable, refusal
from engine.artifacts.lock import read_lock
from engine.artifacts.manifest import EXECUTABLE, wheel_directory
from engine.artifacts.reader import ArtifactReader, open_artifact
from engine.artifacts.selection import POINTER_BYTES, covered, pointer_problem
from engine.artifacts.source import Entry, Kind
from engine.artifacts.wheels import unmatched


def receive_artifact(path: Path, commit: str | None = None) -> Artifact:
    """The artifact at `path` after every file has been hashed and every rule of a release applied.

    `commit` is the caller's word: an artifact cannot prove where it came from. Raises ArtifactCorrupt, and the refusals
    that building it would have raised.
    """
    with open_artifact(path) as reader:
        reader.verify()
        if FILE not in reader.manifest.by_path:
            raise refusal([NO_DEPLOY_TOML])
        refuse_what_no_build_makes(reader)
        small = (file.path for file in reader.manifest if file.size <= POINTER_BYTES)
        if pointers := list(filter(None, (pointer_problem(path, reader.read(path)) for path in small))):
            raise refusal(pointers)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Artifact(
            path=path,
            digest=reader.digest,
            sha256=sha256,
            size=path.stat().st_size,
            manifest=reader.manifest,
            name=reader.deploy.name,
            version=reader.version,
            commit=commit,
            release_id=reader.release_id,
            lock_digests={lock: reader.manifest.by_path[lock].sha256 for lock in reader.deploy.locks()},
            deploy=reader.deploy,
        )


class _ReleaseTree:
    """The files of an artifact as the tree it was built from: without the wheels of its locks."""

    def __init__(self, reader: ArtifactReader) -> None:
        self._reader = reader
        self._wheels = {wheel_directory(lock) for lock in reader.deploy.locks()}

    @cached_property
    def entries(self) -> Mapping[str, Entry]:
        """Everything in the artifact but wheels."""
        return {
            file.path: Entry(Kind.FILE, executable=file.mode == EXECUTABLE)
            for file in self._reader.manifest
            if file.path.rpartition("/")[0] not in self._wheels
        }

    def read(self, path: str) -> bytes:
        """The content of a file."""
        return self._reader.read(path)


def refuse_what_no_build_makes(reader: ArtifactReader) -> None:
    """Apply every rule of a release to what the artifact holds. Raises the refusals that building it would have raised,
    ArtifactCorrupt for what no build leaves in it.
    """
    deploy, tree = reader.deploy, _ReleaseTree(reader)
    problems = tree_problems(tree, deploy)[1]
    if problems:
        raise refusal(problems)
    surplus = [path for path in tree.entries if not covered(path, deploy)]
    if surplus:
        message = f"The artifact {reader.path.name} holds {surplus[0]}, which its deploy.toml does not cover."
        raise ArtifactCorrupt(message, hint="Build it with build_release.")
    for path in deploy.locks():
        directory = f"{wheel_directory(path)}/"
        wheels = [(file.path, file.sha256) for file in reader.manifest if file.path.startswith(directory)]
        lock, problems = read_lock(path, reader.read(path))
        if problems:  # a lock of uv or Poetry as it lies in a repository: servers cannot read it
            raise refusal(problems)
        wrong = unmatched(wheels, lock.needed(deploy.python, deploy.architecture))
        if wrong is not None:
            raise WheelsUnavailable(f"The wheels of {path} do not fit it: {wrong}.", hint="Build the release again.")
