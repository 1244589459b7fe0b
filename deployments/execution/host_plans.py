"""Turning a sealed snapshot into the plans that the servers' agents execute; what they share is worked out once."""

import threading
from functools import cached_property

from deployments.lifecycle import Kind
from deployments.models import Approval, Deployment, Release, Target
from deployments.releases import artifacts
from deployments.releases.role_plans import manifest_for, role_plans
from deployments.requests.rollback_targets import rollback_target
from deployments.snapshot import SealedTarget
from engine.artifacts.artifact import ArtifactReader
from engine.artifacts.manifest import Manifest
from engine.remote import BaseRelease, HookPlan, RolePlan, RunPlan
from engine.remote.plan import missing

MARGIN_SECONDS = 30.0
"""What an agent may take beyond the sum of its steps' deadlines before it reverts."""

PRUNE_SECONDS = 20.0
"""For deleting old releases, after the new one has been proven; it has no other say in a project's deadlines."""


class HostPlans:
    """The plans for the targets of one deployment. Several threads may ask."""

    def __init__(self, deployment: Deployment, reader: ArtifactReader) -> None:
        self._deployment, self.reader, self._sealed = deployment, reader, deployment.sealed
        self._turn = threading.RLock()
        self._manifests: dict[tuple[str, ...], Manifest] = {}
        self._bases: dict[tuple[str, tuple[str, ...]], BaseRelease | None] = {}
        self._roles: dict[tuple[tuple[str, ...], frozenset[tuple[str, int]]], list[RolePlan]] = {}
        self._read: set[tuple[str, tuple[str, ...]]] = set()

    def read_files(self, target: SealedTarget) -> None:
        """Read and hash what this server will be sent, before it hears of anything. Raises ArtifactCorrupt."""
        key = (target.base.release if target.base else "", target.roles)
        with self._turn:
            if key not in self._read:
                absent = missing(self._manifest(target.roles).files, self._base(target))
                for _ in self.reader.tar_of([entry.path for entry in absent]):
                    pass
                self._read.add(key)

    def plan(self, target: Target, *, fence: int, within: float) -> RunPlan:
        """The plan for one target of the snapshot; its agent has `within` seconds at most.

        `fence` is the one that the target's record names: the deployment's may be a later one by now.
        """
        with self._turn:
            deployment, snapshot = self._deployment, self._sealed
            sealed = snapshot.target(target.server.name)
            hooks = [HookPlan(**hook.model_dump()) for hook in snapshot.plan.hooks if hook.role in sealed.roles]
            deadlines: dict[str, float] = {**snapshot.plan.deadlines, "prune": PRUNE_SECONDS}
            deadlines |= {hook.moment: hook.deadline for hook in hooks}
            return RunPlan(
                name=snapshot.application,
                deployment=str(deployment.pk),
                fence=fence,
                takeover=deployment.kind == Kind.ROLLBACK,
                release=snapshot.release.identifier,
                version=snapshot.release.version,
                manifest=self._manifest(sealed.roles).files,
                base=self._base(sealed),
                roles=self._role_plans(sealed),
                config=self._config,
                deadlines=deadlines,
                deadline=min(sum(deadlines.values()) + MARGIN_SECONDS, within),
                python=self.reader.deploy.python,
                pins=self._pins(target),
                keep=snapshot.plan.keep,
                keep_backups=self.reader.deploy.backups.keep,
                backup_days=self.reader.deploy.backups.days,
                actor=deployment.requested_by,
                approved_by=self._approved_by,
                reason=deployment.reason,
                hooks=hooks,
            )

    def _manifest(self, roles: tuple[str, ...]) -> Manifest:
        if roles not in self._manifests:
            self._manifests[roles] = manifest_for(self.reader, roles)
        return self._manifests[roles]

    def _role_plans(self, target: SealedTarget) -> list[RolePlan]:
        key = (target.roles, frozenset(target.secrets.items()))
        if key not in self._roles:
            self._roles[key] = role_plans(self.reader, self._deployment.environment, target.roles, target.secrets)
        return self._roles[key]

    def _base(self, target: SealedTarget) -> BaseRelease | None:
        """The release the snapshot says the server runs, so that its files need not travel again."""
        if target.base is None:
            return None
        key = (target.base.release, target.roles)
        if key not in self._bases:
            release = Release.objects.filter(identifier=target.base.release).first()
            files = artifacts.manifest_on_servers(release, target.roles).files if release else ()
            self._bases[key] = BaseRelease(release.identifier, files) if release else None
        return self._bases[key]

    def _pins(self, target: Target) -> list[str]:
        """Releases that pruning must keep there: what runs now, what ran before, and what a rollback would need."""
        server = target.server
        wanted = (server.current_release, server.previous_release, self._way_back)
        return list(dict.fromkeys(release.identifier for release in wanted if release is not None))

    @cached_property
    def _config(self) -> dict[str, bytes]:
        return self._sealed.configuration.contents

    @cached_property
    def _way_back(self) -> Release | None:
        return rollback_target(self._deployment.environment)

    @cached_property
    def _approved_by(self) -> list[str]:
        given = self._deployment.approvals.filter(decision=Approval.Decision.APPROVED)
        return [approval.actor for approval in given]
