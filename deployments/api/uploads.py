"""Taking an artifact from outside: nothing it says about itself is believed before its hashes prove it."""

import hashlib
from pathlib import Path

from deployments.errors import InvalidRequest
from deployments.plans.artifact import Artifact, open_artifact


def described(path: Path, *, sha256: str, commit: str) -> Artifact:
    """The artifact at `path`. Raises InvalidRequest when it is not the file meant, and ArtifactCorrupt."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise InvalidRequest(
            f"The file has the sha256 {found}, not {sha256}.", hint="Upload it again.", reason="digest_mismatch"
        )
    with open_artifact(path) as reader:
        reader.verify()
        deploy = reader.deploy
        return Artifact(
            path=path,
            digest=reader.digest,
            sha256=found,
            size=path.stat().st_size,
            manifest=reader.manifest,
            name=deploy.name,
            version=reader.version,
            commit=commit or None,
            release_id=reader.release_id,
            lock_digests={lock: reader.manifest.by_path[lock].sha256 for lock in deploy.locks()},
            deploy=deploy,
        )
