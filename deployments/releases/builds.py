"""Releases: built from a tree or uploaded, stored once, never changed."""

import getpass
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import one_line
from deployments.models import Release
from deployments.releases.artifacts import contents, only_known, share_wheels
from engine.artifacts.artifact import Artifact, build_artifact
from engine.artifacts.git import repository_at
from engine.artifacts.wheels import PipWheels
from engine.errors import Conflict


def build_release(*, actor: Actor, source: Path, ref: str | None) -> tuple[Release, bool]:
    """Build an artifact from a directory or git ref and store it; the second value says whether it is new.

    Raises the refusals of `engine.artifacts.errors`, and Conflict when the version was built from another tree before.
    """
    require(actor, Verb.ADD_RELEASE)
    wheels = PipWheels(settings.STATE_DIR / "wheels")
    with tempfile.TemporaryDirectory(prefix="release-", dir=settings.STATE_DIR) as scratch:
        artifact = build_artifact(source, ref, wheels, Path(scratch))
        stored = store_artifact(
            actor=actor,
            artifact=artifact,
            ref=ref or "",
            builder=f"{getpass.getuser()} ({actor})",
            change_log=_change_log(source, artifact),
        )
        share_wheels([file.path.rpartition("/")[2] for file in artifact.manifest if file.path.startswith("wheels/")])
        return stored


def store_artifact(
    *, actor: Actor, artifact: Artifact, ref: str, builder: str, change_log: str = ""
) -> tuple[Release, bool]:
    """Keep a built artifact as a release. The same content gives the same release."""
    require(actor, Verb.ADD_RELEASE, application=artifact.name)
    with contents().held():  # what is known of it stays so: nobody tidies it away meanwhile
        return _stored(actor, artifact, ref=ref, builder=builder, change_log=change_log)


def _stored(actor: Actor, artifact: Artifact, *, ref: str, builder: str, change_log: str) -> tuple[Release, bool]:
    existing = Release.objects.filter(name=artifact.name, version=artifact.version).first()
    if existing is not None:
        if existing.identifier == artifact.release_id and only_known(existing):
            return _written(actor, existing, artifact, ref=ref, builder=builder, change_log=change_log), True
        if existing.manifest_digest == artifact.digest and not existing.artifact:
            return _written(actor, existing, artifact, ref=ref, builder=builder, change_log=change_log), True
        if existing.manifest_digest == artifact.digest:
            # the same bytes: what was stored of them and has been damaged is whole again
            contents().take_apart(artifact.path, Path(existing.artifact.path))
            return existing, False
        raise Conflict(
            f"Version {artifact.version} of {artifact.name} was built before from another tree "
            f"({existing.identifier}, now {artifact.release_id}).",
            hint="A version means one content: raise VERSION and build again.",
            reason="version_taken",
        )
    new = Release(identifier=artifact.release_id, name=artifact.name, version=artifact.version)
    try:
        return _written(actor, new, artifact, ref=ref, builder=builder, change_log=change_log), True
    except IntegrityError as error:
        raise Conflict(
            f"Version {artifact.version} of {artifact.name} was stored by somebody else just now.",
            reason="version_taken",
        ) from error


def _written(actor: Actor, release: Release, artifact: Artifact, *, ref: str, builder: str, change_log: str) -> Release:
    """`release` with its artifact; it is new, or was known from a server alone."""
    name = f"releases/{artifact.name}-{artifact.release_id}.tar"
    contents().take_apart(artifact.path, Path(settings.MEDIA_ROOT) / name)
    release.artifact.name = name
    release.commit, release.ref = artifact.commit or "", ref
    release.builder, release.change_log = builder, "\n".join(map(one_line, change_log.splitlines()))
    return _recorded(actor, release, artifact)


def _recorded(actor: Actor, release: Release, artifact: Artifact) -> Release:
    with transaction.atomic():
        release.manifest_digest = artifact.digest
        release.artifact_digest = artifact.sha256
        release.size, release.files = artifact.size, len(artifact.manifest.files)
        release.save()
        trail.record(
            actor=actor,
            name="release.added",
            subject=f"release:{release.identifier}",
            data={
                "artifact_digest": artifact.sha256,
                "manifest_digest": artifact.digest,
                "commit": release.commit,
            },
        )
    return release


def _change_log(source: Path, artifact: Artifact) -> str:
    """Subjects of the commits since the release of this application that was built before; empty without git."""
    repository = repository_at(source)
    before = Release.objects.filter(name=artifact.name).exclude(commit="").first()
    if repository is None or before is None or artifact.commit is None:
        return ""
    return "\n".join(repository.subjects(before.commit, artifact.commit))
