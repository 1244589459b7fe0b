"""Opening a release's artifact, and what its deploy.toml says for one environment."""

from pathlib import Path

from deployments.errors import InvalidRequest
from deployments.models import Environment, Release
from deployments.plans.artifact import ArtifactReader, open_artifact
from deployments.plans.rendering import render_file


def open_release(release: Release) -> ArtifactReader:
    """The artifact, checked against the digest the record holds; close it. Raises ArtifactCorrupt."""
    return open_artifact(Path(release.artifact.path), release.manifest_digest)


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
