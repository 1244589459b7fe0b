"""What a snapshot would do on each server, counted and without a connection."""

from collections.abc import Sequence
from dataclasses import dataclass

from deployments.models import Release
from deployments.releases import artifacts
from deployments.releases.diffs import WHEELS, changed_units
from deployments.releases.role_plans import manifest_for, role_units
from deployments.snapshot import SealedTarget, Snapshot
from engine.artifacts.manifest import Manifest


@dataclass(frozen=True)
class ServerPlan:
    """One server: what it runs now, the files that differ, and what is sent to it."""

    server: str
    secrets: Sequence[str]
    base: str | None
    base_version: str
    added: int
    changed: int
    removed: int
    units: Sequence[str]
    bytes: int
    packages: int

    @property
    def files(self) -> int:
        """How many files differ beside packages, which the approval counts so too."""
        return self.added + self.changed + self.removed - self.packages


def server_plans(release: Release, snapshot: Snapshot) -> list[ServerPlan]:
    """In the order in which they would be deployed to."""
    return [_plan(release, target) for target in snapshot.targets]


def _plan(release: Release, target: SealedTarget) -> ServerPlan:
    with artifacts.open_release(release) as reader:
        manifest, ours = manifest_for(reader, target.roles), role_units(reader.deploy, target.roles)
    base = Release.objects.filter(identifier=target.base.release).first() if target.base else None
    old = artifacts.manifest_on_servers(base, target.roles) if base is not None else Manifest([])
    diff = manifest.diff(old)
    known = {file.sha256 for file in old.files}
    touched = [*diff.added, *diff.changed, *diff.removed]
    return ServerPlan(
        server=target.server,
        secrets=[f"{name} v{version}" for name, version in target.secrets.items()],
        base=base.identifier if base else None,
        base_version=base.version if base else "",
        added=len(diff.added),
        changed=len(diff.changed),
        removed=len(diff.removed),
        units=[name for name in changed_units(touched) if name in {*ours, *target.unit_files}],
        bytes=sum(file.size for file in manifest.files if file.sha256 not in known),
        packages=sum(path.startswith(WHEELS) for path in touched),
    )
