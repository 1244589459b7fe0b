"""Turning a sealed snapshot into the plan that one server's agent executes."""

from collections.abc import Sequence
from typing import Any

from deployments.lifecycle import Kind
from deployments.models import Approval, Deployment, Release
from deployments.releases import artifacts
from deployments.releases.role_plans import manifest_for, role_plans
from engine.artifacts.artifact import ArtifactReader
from engine.remote import BaseRelease, RunPlan

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


def _base(deployment: Deployment, target: dict[str, Any]) -> BaseRelease | None:
    """The release the snapshot says the server runs, so that its files need not travel again."""
    if target["base"] is None:
        return None
    release = Release.objects.filter(identifier=target["base"]["release"]).first()
    if release is None:
        return None
    return BaseRelease(release.identifier, artifacts.manifest_on_servers(release, target["roles"]).files)
