"""What a release means for each role: its files, environment and units."""

import hashlib
from collections.abc import Mapping, Sequence

from deployments.models import Environment, Release, Server
from deployments.releases import artifacts
from deployments.releases.artifacts import table_of
from engine.artifacts.artifact import ArtifactReader
from engine.artifacts.deploy_toml import DeployToml
from engine.artifacts.manifest import Manifest
from engine.remote import DumpPlan, HealthCheck, RolePlan


def manifest_for(reader: ArtifactReader, roles: Sequence[str]) -> Manifest:
    """The files a server with these roles gets: wheels of other roles' locks stay away."""
    return reader.manifest.subset_for_roles(reader.deploy, roles)


def role_plans(
    reader: ArtifactReader,
    environment: Environment,
    roles: Sequence[str],
    secrets: Mapping[str, int],
) -> list[RolePlan]:
    """What each role consists of in this release: units with their digests, lock, health check, secrets, databases."""
    deploy = reader.deploy
    by_path = {file.path: file.sha256 for file in reader.manifest.files}
    plans = []
    for role, described in deploy.roles.items():
        if role not in roles:
            continue
        health = deploy.health(table_of(deploy, environment), role)
        plans.append(
            RolePlan(
                role=role,
                units=[path.rpartition("/")[2] for path in described.units],
                unit_files={path.rpartition("/")[2]: by_path[path] for path in described.units},
                lock=described.lock,
                env_digest=_env_digest(by_path[described.lock], deploy.python) if described.lock else None,
                check=described.check,
                health=HealthCheck(
                    url=health.url,
                    version_field=health.version,
                    connected_field=health.connected,
                    samples=health.samples,
                    interval=health.interval,
                    timeout=health.timeout,
                )
                if health
                else None,
                secrets={name: secrets[name] for name in described.secrets},
                databases=described.databases,
                dumps=[DumpPlan(name=name, **dump.model_dump()) for name, dump in described.dumps.items()],
                watch=described.watched(),
            )
        )
    return plans


def roles_on(server: Server, release: Release) -> list[RolePlan]:
    """What the roles of a server consist of in a release, with the secrets that were delivered there."""
    with artifacts.open_release(release) as reader:
        named = {name for role in reader.deploy.roles.values() for name in role.secrets}
        versions = {name: server.secret_versions.get(name, 1) for name in named}
        return role_plans(reader, server.environment, server.roles, versions)


def role_units(deploy: DeployToml, roles: Sequence[str]) -> list[str]:
    """The names of the units of these roles, in the order in which they are restarted."""
    return [path.rpartition("/")[2] for name, role in deploy.roles.items() if name in roles for path in role.units]


def _env_digest(lock_sha256: str, python: str) -> str:
    """Names the virtual environment: one per lock file and interpreter version."""
    return hashlib.sha256(f"{lock_sha256} {python}".encode()).hexdigest()
