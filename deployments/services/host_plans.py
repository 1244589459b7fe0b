"""Turning a sealed snapshot into the plan that one server's agent executes."""

import hashlib
from collections.abc import Sequence
from typing import Any

from deployments.lifecycle import Kind
from deployments.models import Approval, Deployment, Release
from deployments.plans.artifact import ArtifactReader
from deployments.plans.manifest import Manifest
from deployments.remote import BaseRelease, HealthCheck, RolePlan, RunPlan
from deployments.services import artifacts

MARGIN_SECONDS = 30.0
"""What an agent may take beyond the sum of its steps' deadlines before it reverts."""

PRUNE_SECONDS = 20.0
"""For deleting old releases, after the new one has been proven; it has no other say in a project's deadlines."""


def host_plan(deployment: Deployment, target: dict[str, Any], reader: ArtifactReader, pins: Sequence[str]) -> RunPlan:
    """The plan for one target of the snapshot. `pins` are releases that pruning must keep there."""
    snapshot = deployment.snapshot
    deadlines: dict[str, float] = {**snapshot["plan"]["deadlines"], "prune": PRUNE_SECONDS}
    return RunPlan(
        name=snapshot["application"],
        deployment=str(deployment.pk),
        fence=deployment.fence or 0,
        takeover=deployment.kind == Kind.ROLLBACK,
        release=snapshot["release"]["identifier"],
        version=snapshot["release"]["version"],
        manifest=manifest_for(reader, target["roles"]).files,
        base=_base(deployment, target),
        roles=role_plans(reader, deployment.environment.name, target["roles"], target["secrets"]),
        config={name: text.encode() for name, text in snapshot["configuration"]["files"].items()},
        deadlines=deadlines,
        deadline=sum(deadlines.values()) + MARGIN_SECONDS,
        python=reader.deploy.python,
        pins=tuple(pins),
        keep=int(snapshot["plan"]["keep"]),
        actor=deployment.requested_by,
        approved_by=[approval.actor for approval in deployment.approvals.filter(decision=Approval.Decision.APPROVED)],
        reason=deployment.reason,
    )


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
            )
        )
    return plans


def _env_digest(lock_sha256: str, python: str) -> str:
    """Names the virtual environment: one per lock file and interpreter version."""
    return hashlib.sha256(f"{lock_sha256} {python}".encode()).hexdigest()


def _base(deployment: Deployment, target: dict[str, Any]) -> BaseRelease | None:
    """The release the snapshot says the server runs, so that its files need not travel again."""
    if target["base"] is None:
        return None
    release = Release.objects.filter(identifier=target["base"]["release"]).first()
    if release is None:
        return None
    return BaseRelease(release.identifier, artifacts.manifest_on_servers(release, target["roles"]).files)
