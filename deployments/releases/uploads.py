"""Taking an artifact that was built elsewhere: nothing it says about itself is believed before its hashes prove it."""

import hashlib
from pathlib import Path

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Release
from deployments.releases.builds import store_artifact
from deployments.releases.origin import tag_said
from engine.artifacts.artifact import Artifact
from engine.artifacts.received import receive_artifact
from engine.errors import InvalidRequest


def add_artifact(
    *,
    actor: Actor,
    path: Path,
    sha256: str,
    ref: str = "",
    commit: str = "",
    builder: str = "",
    change_log: str = "",
) -> tuple[Release, bool]:
    """Keep the artifact at `path` as a release; the second value says whether it is new.

    Raises NotAllowed, InvalidRequest when the file has another sha256 (hexadecimal), ArtifactCorrupt when a file in it
    is not what the manifest says, the refusals of building it, Conflict when the version is taken.
    """
    require(actor, Verb.ADD_RELEASE)
    ref, commit, builder = (
        checked(text, what=what, limit=limit)
        for text, what, limit in ((ref, "A ref", 250), (commit, "A commit", 64), (builder, "A builder", 150))
    )
    artifact = described(path, sha256=sha256, commit=commit)
    return store_artifact(
        actor=actor,
        artifact=artifact,
        ref=ref,
        builder=builder or str(actor),
        change_log=change_log,
        tag=tag_said(artifact.version, ref),
    )


def described(path: Path, *, sha256: str, commit: str) -> Artifact:
    """The artifact at `path`. Raises InvalidRequest when it is not the file meant, ArtifactCorrupt, and what
    building it would have refused."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read ({error.strerror}).", reason="no_artifact") from error
    if found != sha256:
        raise InvalidRequest(
            f"The artifact has the sha256 {found}, not {sha256}.", hint="Fetch it again.", reason="digest_mismatch"
        )
    return receive_artifact(path, commit or None)
