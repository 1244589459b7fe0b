"""What a release means for each role: its files, environment and units."""

import hashlib
from collections.abc import Sequence

from engine.artifacts.artifact import ArtifactReader
from engine.artifacts.manifest import Manifest
from engine.remote import HealthCheck, RolePlan


def manifest_for(reader: ArtifactReader, roles: Sequence[str]) -> Manifest:
    """The files a server with these roles gets: wheels of other roles' locks stay away."""
    return reader.manifest.subset_for_roles(reader.deploy, roles)


def role_plans(
    reader: ArtifactReader,
    environment: str,
    roles: Sequence[str],
    secrets: dict[str, int],
) -> list[RolePlan]:
    """What each role consists of in this release: units with their digests, lock, health check, secrets, databases."""
    deploy = reader.deploy
    by_path = {file.path: file.sha256 for file in reader.manifest.files}
    plans = []
    for role, described in deploy.roles.items():
        if role not in roles:
            continue
        health = deploy.health(environment, role)
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
                watch=described.watched(),
            )
        )
    return plans


def _env_digest(lock_sha256: str, python: str) -> str:
    """Names the virtual environment: one per lock file and interpreter version."""
    return hashlib.sha256(f"{lock_sha256} {python}".encode()).hexdigest()
