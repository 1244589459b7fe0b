"""Opening a release's artifact, and what its deploy.toml says for one environment.

A release that somebody deployed without this portal is known from its server alone (`servers.adoption`): then the
stored file is the manifest the server keeps, and there is no artifact to open.
"""

from collections.abc import Collection
from pathlib import Path

from deployments.models import Environment, Release
from engine.artifacts.artifact import ArtifactReader, open_artifact
from engine.artifacts.manifest import Manifest
from engine.artifacts.rendering import render_file
from engine.errors import InvalidRequest


def open_release(release: Release) -> ArtifactReader:
    """The artifact, checked against the digest the record holds; close it. Raises ArtifactCorrupt, InvalidRequest."""
    if only_known(release):
        raise InvalidRequest(
            f"{release} was deployed without this portal, which does not have its artifact.",
            hint="Build it here from its tag (build_release --ref), or add the artifact (add_release).",
            reason="artifact_missing",
        )
    return open_artifact(Path(release.artifact.path), release.manifest_digest)


def only_known(release: Release) -> bool:
    """Whether the release is known from a server, and its artifact is not here."""
    return not release.artifact_digest


def manifest_on_servers(release: Release, roles: Collection[str]) -> Manifest:
    """The files that a server with these roles has of a release. Raises ArtifactCorrupt."""
    if only_known(release):
        return Manifest.from_json(Path(release.artifact.path).read_bytes())
    with open_release(release) as reader:
        return reader.manifest.subset_for_roles(reader.deploy, roles)


def rendered_configuration(reader: ArtifactReader, environment: Environment) -> dict[str, bytes]:
    """The configuration files as servers of `environment` get them: the release's templates under the overrides.

    Raises InvalidRequest when the release knows no such environment.
    """
    described = reader.deploy.environments.get(environment.name)
    if described is None:
        raise InvalidRequest(
            f"deploy.toml of {reader.deploy.name} has no [environments.{environment.name}].",
            hint="Add the table and build a new release.",
            reason="unknown_environment",
        )
    overrides = environment.configuration or {}
    if unknown := sorted(set(overrides) - set(described.config)):
        raise InvalidRequest(
            f"The configuration of {environment} names files the release does not have: {', '.join(unknown)}.",
            hint=f"The release has: {', '.join(sorted(described.config)) or 'none'}.",
        )
    return {
        name: render_file(name, reader.read(template), overrides.get(name, {}))
        for name, template in sorted(described.config.items())
    }
