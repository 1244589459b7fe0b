"""Releases: built from a tree or uploaded, stored once, never changed."""

import getpass
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from engine.artifacts.fetching import fetch
from engine.artifacts.git import repository_at
from engine.artifacts.version import tag_names
from engine.artifacts.wheels import PipWheels
from engine.errors import Conflict, InvalidRequest


@dataclass(frozen=True)
class _Origin:
    """What a record says about a release that its content does not."""

    ref: str
    builder: str
    change_log: str
    tag: str


@contextmanager
def brought_here(source: str, ref: str | None) -> Iterator[Path]:
    """The directory that is meant; a repository elsewhere is fetched for as long as the block lasts.

    Raises InvalidRequest without a `ref` of it, FetchFailed.
    """
    if "://" not in source:
        yield Path(source)
        return
    if ref is None:
        raise InvalidRequest(
            f"Which commit of {source} is to be built?", hint="Name a branch, tag or commit.", reason="no_ref"
        )
    settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetched-", dir=settings.STATE_DIR) as scratch:
        repository = Path(scratch) / "repository.git"
        fetch(source, "refs/heads/*", repository)
        yield repository


def build_release(
    *,
    actor: Actor,
    source: Path,
    ref: str | None,
    by_commit: bool = False,
    accept: Callable[[str], None] = lambda _: None,
) -> tuple[Release, bool]:
    """Build an artifact from a directory or git ref and store it; the second value says whether it is new.

    With `by_commit` its version is VERSION and the commit: `1.4.0+g3f2a91c`. `accept` hears whose release it is before
    it is stored, and may raise.

    Raises the refusals of `engine.artifacts.errors`, and Conflict when the version was built from another tree before.
    """
    require(actor, Verb.ADD_RELEASE)
    wheels = PipWheels(settings.STATE_DIR / "wheels")
    with tempfile.TemporaryDirectory(prefix="release-", dir=settings.STATE_DIR) as scratch:
        artifact = build_artifact(source, ref, wheels, Path(scratch), by_commit=by_commit)
        accept(artifact.name)
        stored = store_artifact(
            actor=actor,
            artifact=artifact,
            ref=ref or "",
            builder=f"{getpass.getuser()} ({actor})",
            change_log=_change_log(source, artifact),
            tag=_tag(source, artifact),
        )
        share_wheels([file.path.rpartition("/")[2] for file in artifact.manifest if file.path.startswith("wheels/")])
        return stored


def store_artifact(
    *, actor: Actor, artifact: Artifact, ref: str, builder: str, change_log: str = "", tag: str = ""
) -> tuple[Release, bool]:
    """Keep a built artifact as a release. The same content gives the same release; built at its tag, it has the tag."""
    require(actor, Verb.ADD_RELEASE, application=artifact.name)
    with contents().held():  # what is known of it stays so: nobody tidies it away meanwhile
        return _stored(actor, artifact, _Origin(ref, builder, change_log, tag))


def _stored(actor: Actor, artifact: Artifact, origin: _Origin) -> tuple[Release, bool]:
    existing = Release.objects.filter(name=artifact.name, version=artifact.version).first()
    if existing is not None:
        if existing.identifier == artifact.release_id and only_known(existing):
            return _written(actor, existing, artifact, origin), True
        if existing.manifest_digest == artifact.digest and not existing.artifact:
            return _written(actor, existing, artifact, origin), True
        if existing.manifest_digest == artifact.digest:
            # the same bytes: what was stored of them and has been damaged is whole again
            contents().take_apart(artifact.path, Path(existing.artifact.path))
            return _tagged(actor, existing, origin.tag), False
        raise Conflict(
            f"Version {artifact.version} of {artifact.name} was built before from another tree "
            f"({existing.identifier}, now {artifact.release_id}).",
            hint="A version means one content: raise VERSION and build again, or let the commit name it.",
            reason="version_taken",
        )
    new = Release(identifier=artifact.release_id, name=artifact.name, version=artifact.version)
    try:
        return _written(actor, new, artifact, origin), True
    except IntegrityError as error:
        raise Conflict(
            f"Version {artifact.version} of {artifact.name} was stored by somebody else just now.",
            reason="version_taken",
        ) from error


def _tagged(actor: Actor, release: Release, tag: str) -> Release:
    if tag and release.tag != tag:
        with transaction.atomic():
            Release.objects.filter(pk=release.pk).update(tag=tag)
            subject = f"release:{release.identifier}"
            trail.record(actor=actor, name="release.tagged", subject=subject, data={"tag": tag})
        release.tag = tag
    return release


def _written(actor: Actor, release: Release, artifact: Artifact, origin: _Origin) -> Release:
    """`release` with its artifact; it is new, or was known from a server alone."""
    name = f"releases/{artifact.name}-{artifact.release_id}.tar"
    contents().take_apart(artifact.path, Path(settings.MEDIA_ROOT) / name)
    release.artifact.name = name
    release.commit, release.ref, release.tag = artifact.commit or "", origin.ref, origin.tag
    release.builder, release.change_log = origin.builder, "\n".join(map(one_line, origin.change_log.splitlines()))
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
                **({"tag": release.tag} if release.tag else {}),
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


def _tag(source: Path, artifact: Artifact) -> str:
    """The tag of the artifact's version, where it is at the commit."""
    repository = repository_at(source)
    if repository is None or artifact.commit is None:
        return ""
    return repository.tag_at(artifact.commit, tag_names(artifact.version))
