"""Opening a release's artifact, and what its deploy.toml says for one environment.

A release that somebody deployed without this portal is known from its server alone (`servers.adoption`): then the
stored file is the manifest the server keeps, and there is no artifact to open.
"""

import os
from collections.abc import Collection
from pathlib import Path

from django.conf import settings

from deployments.models import Environment, Release
from engine.artifacts.artifact import ArtifactReader, open_artifact
from engine.artifacts.contents import Contents, put_together
from engine.artifacts.deploy_toml import DeployToml
from engine.artifacts.errors import BadConfiguration
from engine.artifacts.manifest import Manifest
from engine.artifacts.rendering import check_kinds, render_file
from engine.artifacts.wheels import sha256_of
from engine.errors import InvalidRequest, PortalError


class ArtifactElsewhere(PortalError):
    """The record knows the artifact, and this machine does not have its file whole: another one of the portal may."""

    reason = "artifact_elsewhere"
    http_status = 503
    permanent = False

    def __init__(self, release: Release, why: str = "") -> None:
        where = f"cannot be used on this machine ({why.rstrip('.')})" if why else "is not on this machine"
        super().__init__(
            f"The artifact of {release} {where}, so nothing was decided or done.",
            hint="Ask the machine that built it, share the directory `artifacts` among all machines of the portal, "
            "or bring it back from a backup.",
        )


def contents() -> Contents:
    """Where the contents of all releases lie, each once."""
    return Contents(_contents_directory())


def _contents_directory() -> Path:
    return Path(settings.MEDIA_ROOT) / "contents"


def share_wheels(names: Collection[str]) -> None:
    """Wheels of these names that pip fetched, and that a release holds, are there once."""
    for path in Path(settings.STATE_DIR / "wheels").glob("*/*.whl"):
        if path.name in names:
            contents().share(path, sha256_of(path))


def stored_files() -> list[Path]:
    """Every file of every artifact that is stored here, sorted; none that is only being written."""
    root = Path(settings.MEDIA_ROOT)
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def open_release(release: Release) -> ArtifactReader:
    """The artifact, checked against the digest the record holds; close it. Raises ArtifactCorrupt, ArtifactElsewhere,
    InvalidRequest.
    """
    if only_known(release):
        raise InvalidRequest(
            f"{release} was deployed without this portal, which does not have its artifact.",
            hint="Build it here from its tag (build_release --ref), or add the artifact (add_release).",
            reason="artifact_missing",
        )
    if not release.artifact:
        raise InvalidRequest(
            f"The artifact of {release} was deleted, since nothing needed it any more (PORTAL_KEEP_RELEASES).",
            hint=f"Build it again ({_rebuilding(release)}): the same content is the same release.",
            reason="artifact_pruned",
        )
    path = Path(release.artifact.path)
    if not os.path.exists(path):  # noqa: PTH110  (false, too, where a mount refuses or has gone)
        raise ArtifactElsewhere(release)
    return open_artifact(path, release.manifest_digest, _contents_directory())


def _rebuilding(release: Release) -> str:
    return f"build_release --ref {release.commit}" if release.commit else "build_release --source DIR"


def write_whole(release: Release, directory: Path) -> Path:
    """The artifact as one file in a directory, byte for byte as it was built. Raises as `open_release`, OSError."""
    path = directory / Path(release.artifact.path).name
    with open_release(release) as reader:
        put_together(reader, path)
    return path


def only_known(release: Release) -> bool:
    """Whether the release is known from a server, and its artifact is not here."""
    return not release.artifact_digest


def manifest_on_servers(release: Release, roles: Collection[str]) -> Manifest:
    """The files that a server with these roles has of a release. Raises ArtifactCorrupt."""
    if only_known(release):
        return Manifest.from_json(Path(release.artifact.path).read_bytes())
    with open_release(release) as reader:
        return reader.manifest.subset_for_roles(reader.deploy, roles)


def table_of(deploy: DeployToml, environment: Environment) -> str:
    """Which [environments.…] of a deploy.toml is meant: that of its name, else of the last name it had before."""
    return next((name for name in environment.names if name in deploy.environments), environment.name)


def rendered_configuration(reader: ArtifactReader, environment: Environment) -> dict[str, bytes]:
    """The configuration files as servers of `environment` get them: the release's templates under the overrides.

    Raises InvalidRequest when the release knows no such environment.
    """
    described = reader.deploy.environments.get(table_of(reader.deploy, environment))
    if described is None:
        raise InvalidRequest(
            f"deploy.toml of {reader.deploy.name} has no [environments.{environment.name}].",
            hint="Add the table and build a new release.",
            reason="unknown_environment",
        )
    overrides = environment.configuration or {}
    if unknown := sorted(set(overrides) - set(described.config)):
        raise BadConfiguration(
            f"The release {reader.version} has no configuration file {', '.join(unknown)}.",
            hint=f"It has: {', '.join(sorted(described.config)) or 'none'}.",
            place=unknown[:1],
        )
    return {
        name: render_file(name, reader.read(template), overrides.get(name, {}), _schema(reader, name))
        for name, template in sorted(described.config.items())
    }


def check_configuration(reader: ArtifactReader, environment: Environment) -> None:
    """Raise BadConfiguration for values of `environment` that the release could not use, or has in another kind.

    A release that does not know the environment has no say.
    """
    described = reader.deploy.environments.get(table_of(reader.deploy, environment))
    if described is None:
        return
    rendered_configuration(reader, environment)
    for name, values in environment.configuration.items():
        if _schema(reader, name) is None:
            check_kinds(name, reader.read(described.config[name]), values)


def _schema(reader: ArtifactReader, name: str) -> bytes | None:
    path = reader.deploy.schema_of(name)
    return reader.read(path) if path else None
