"""Artifacts in one piece again, for a portal that goes back to a version which reads no others."""

from pathlib import Path

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core.actors import Actor
from deployments.models import Release
from deployments.releases.artifacts import contents, open_release
from engine.artifacts.contents import put_together


def unpack(*, actor: Actor) -> list[str]:
    """Write every artifact as the tar that was built; what could not be read is left as it is, and raised.

    Raises NotAllowed, ArtifactCorrupt, Conflict during a backup.
    """
    require(actor, Verb.PRUNE)
    done = []
    for release in Release.objects.exclude(artifact="").exclude(artifact_digest=""):
        path = Path(release.artifact.path)
        with contents().held(alone=True), open_release(release) as reader:
            if not reader.apart:
                continue
            put_together(reader, path)
        done.append(str(release))
    return done
