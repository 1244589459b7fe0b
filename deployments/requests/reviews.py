"""What an approver sees: what became of the release, the plan per server, what changes against now, the way back."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.masking import Mask
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment, Release, Target
from deployments.releases import artifacts
from deployments.releases.artifacts import ArtifactElsewhere
from deployments.releases.diffs import (
    FileChange,
    ReleaseChanges,
    Totals,
    configuration_changes,
    release_changes,
    totals,
)
from deployments.releases.role_plans import manifest_for, role_units
from deployments.requests.hook_effects import left_behind, no_way_back
from deployments.requests.release_objections import Objection, objections_to
from deployments.requests.release_records import ReleaseRecord, records_of
from deployments.requests.seals import approvals_given, approvals_needed, broken_seal
from deployments.snapshot import SealedHook, SealedTarget, Snapshot
from engine.errors import PortalError
from engine.ssh.keys import HostKey


@dataclass(frozen=True)
class ServerReview:
    """What happens on one server. `same_as` names an earlier server with equal files to look at instead."""

    name: str
    canary: bool
    roles: list[str]
    base: str
    changes: ReleaseChanges
    same_as: str
    units: list[str]
    secrets: list[str]
    fingerprint: str
    jump: str
    jump_fingerprint: str


@dataclass(frozen=True)
class Review:
    """Everything the approval page shows; texts are masked."""

    deployment: Deployment
    record: ReleaseRecord
    objections: list[Objection]
    servers: list[ServerReview]
    configuration: list[FileChange]
    change_log: list[str]
    steps: list[str]
    hooks: tuple[SealedHook, ...]
    no_way_back: str
    left_behind: list[str]
    last: Deployment | None
    way_back: Release | None
    expected_seconds: float | None
    rollback_seconds: float | None
    broken: list[str]
    given: int
    needed: int
    approvals: list[Approval] = field(default_factory=list)
    unreadable: str = ""

    @property
    def changed(self) -> Totals:
        """Files and lines that differ, over configuration and servers, each difference once."""
        own = [server.changes.files for server in self.servers if not server.same_as]
        return totals([*self.configuration, *(change for files in own for change in files)])

    @property
    def files(self) -> int:
        """Those of them that are the release's own, without the configuration's."""
        return self.changed.files - len(self.configuration)

    @property
    def first_deployment(self) -> bool:
        """Whether nothing runs on any of the servers yet."""
        return not any(server.base for server in self.servers)


def review_of(*, actor: Actor, deployment: Deployment) -> Review:
    """The review of a request, or of what was done; the seal is compared only while that decides something."""
    require(actor, Verb.VIEW, deployment.environment)
    environment, plan, sealed = deployment.environment, deployment.sealed.carried_out, deployment.sealed
    mask = Mask.of(deployment)
    targets = list(deployment.targets.select_related("server", "base_release"))
    unreadable, servers = "", []
    try:
        servers = _servers(deployment, targets, mask)
    except PortalError as error:
        unreadable = str(error)
        servers = [_bare(target, sealed) for target in targets]
    undecided = deployment.status in (Status.AWAITING_APPROVAL, Status.QUEUED)
    before = _before(deployment)
    record = records_of([deployment.release], without=deployment)[0]
    return Review(
        deployment=deployment,
        record=record,
        objections=objections_to(record),
        servers=servers,
        configuration=configuration_changes(_files(before), _files(deployment), mask),
        change_log=_change_log(deployment, before),
        steps=list(plan.steps),
        hooks=plan.hooks,
        no_way_back=no_way_back(plan.hooks),
        left_behind=left_behind(environment, deployment.release) if deployment.kind == Kind.ROLLBACK else [],
        last=_last(deployment),
        way_back=before.release if before else None,
        expected_seconds=selectors.expected_seconds(environment, Kind(deployment.kind)),
        rollback_seconds=selectors.expected_seconds(environment, Kind.ROLLBACK),
        broken=_broken(deployment) if undecided else [],
        given=approvals_given(deployment),
        needed=approvals_needed(deployment),
        approvals=list(deployment.approvals.all()),
        unreadable=unreadable,
    )


def _broken(deployment: Deployment) -> list[str]:
    """Why the seal is broken; nothing where this machine cannot tell, which the page says in place of the files."""
    try:
        return broken_seal(deployment)
    except ArtifactElsewhere:
        return []


def _servers(deployment: Deployment, targets: list[Target], mask: Mask) -> list[ServerReview]:
    seen: dict[tuple[object, ...], tuple[str, ReleaseChanges]] = {}
    found = []
    with ExitStack() as stack:
        reader = stack.enter_context(artifacts.open_release(deployment.release))
        bases: dict[int, Any] = {}
        for target in targets:
            sealed = _sealed(deployment.sealed, target)
            roles = list(sealed.roles)
            key = (target.base_release_id, tuple(sorted(roles)))
            if key not in seen:
                base = target.base_release
                if base is not None and base.pk not in bases and not artifacts.only_known(base):
                    bases[base.pk] = stack.enter_context(artifacts.open_release(base))
                old = bases.get(base.pk) if base is not None else None
                old_files = artifacts.manifest_on_servers(base, roles) if base is not None else None
                changes = release_changes(reader, manifest_for(reader, roles), old, old_files, mask)
                seen[key] = ("", changes)
            first, changes = seen[key]
            ours = {*role_units(reader.deploy, roles), *sealed.unit_files}
            units = [name for name in changes.units if name in ours]
            found.append(_server(target, sealed, changes, first, units))
            seen[key] = (first or target.server.name, changes)
    return found


def _server(
    target: Target, sealed: SealedTarget, changes: ReleaseChanges, same_as: str, units: list[str]
) -> ServerReview:
    return ServerReview(
        name=target.server.name,
        canary=target.order == 0,
        roles=list(sealed.roles),
        base=target.base_release.identifier if target.base_release else "",
        changes=changes,
        same_as=same_as,
        units=units,
        secrets=_secrets(target, sealed),
        fingerprint=target.server.fingerprint,
        jump=sealed.jump,
        jump_fingerprint=HostKey.parse(sealed.jump_host_key).fingerprint if sealed.jump else "",
    )


def _bare(target: Target, snapshot: Snapshot) -> ServerReview:
    return _server(target, _sealed(snapshot, target), ReleaseChanges(), "", [])


def _secrets(target: Target, sealed: SealedTarget) -> list[str]:
    """Each secret that it gets, by version and what the server has of it, in words."""
    has = target.server.secret_versions
    return [_secret(name, has.get(name), version) for name, version in sorted(sealed.secrets.items())]


def _secret(name: str, has: int | None, version: int) -> str:
    if has is None:
        return f"{name}: version {version}, not there yet"
    return f"{name}: version {version}, there already" if has == version else f"{name}: version {has} → {version}"


def _sealed(snapshot: Snapshot, target: Target) -> SealedTarget:
    return next(
        (item for item in snapshot.targets if item.server == target.server.name),
        SealedTarget(server=target.server.name, roles=tuple(target.server.roles)),
    )


def _before(deployment: Deployment) -> Deployment | None:
    """The success that this deployment follows: what ran, or runs, when it begins."""
    rows = Deployment.objects.filter(environment=deployment.environment, status=Status.SUCCEEDED)
    if deployment.started_at is not None:
        rows = rows.filter(finished_at__lt=deployment.started_at)
    return rows.exclude(pk=deployment.pk).select_related("release").order_by("-finished_at", "-id").first()


def _last(deployment: Deployment) -> Deployment | None:
    """The deployment of the environment that ended last before this one was asked for."""
    return (
        Deployment.objects.filter(environment=deployment.environment, started_at__isnull=False)
        .filter(finished_at__isnull=False, finished_at__lte=deployment.requested_at)
        .exclude(pk=deployment.pk)
        .select_related("release")
        .order_by("-finished_at", "-id")
        .first()
    )


def _files(before: Deployment | None) -> dict[str, str]:
    return dict(before.sealed.configuration.files) if before else {}


def _change_log(deployment: Deployment, before: Deployment | None) -> list[str]:
    """Commit subjects of the releases built after the one that runs, newest release first."""
    if deployment.kind != Kind.DEPLOYMENT:
        return []
    releases = Release.objects.filter(name=deployment.release.name, built_at__lte=deployment.release.built_at)
    if before is not None:
        releases = releases.filter(built_at__gt=before.release.built_at)
    return [line for release in releases.order_by("-built_at")[:50] for line in release.change_log.splitlines() if line]
