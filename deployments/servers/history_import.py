"""Deployments that a server's journal tells of and this portal does not know: they become records that say so."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.agent_records import STATUSES, moment
from deployments.core.texts import LIMIT, one_line, whole_number
from deployments.lifecycle import Kind, Status, StepState, TargetStatus
from deployments.models import Approval, Deployment, Release, Server, Step, Target
from deployments.requests.snapshots import sealed_release
from deployments.snapshot import (
    FORMAT,
    Imported,
    SealedConfiguration,
    SealedPlan,
    SealedPolicy,
    SealedTarget,
    Snapshot,
)
from engine.remote.history import PastRun

_OUTCOME = {
    TargetStatus.SUCCEEDED: Status.SUCCEEDED,
    TargetStatus.FAILED: Status.FAILED,
    TargetStatus.REVERTED: Status.ROLLED_BACK,
    TargetStatus.CANCELLED: Status.CANCELLED,
    TargetStatus.INTERRUPTED: Status.INTERRUPTED,
}


def import_runs(
    *, actor: Actor, server: Server, runs: Iterable[PastRun], remember: Callable[[PastRun], Release]
) -> list[Deployment]:
    """Record the ended runs that are not known yet, oldest first; runs in the caller's transaction.

    `remember` gives the record of a run's release. A run without an end is left for the next time.
    """
    return [_imported(actor, server, run, remember(run)) for run in runs if run.ended and not _known(server, run)]


def _known(server: Server, run: PastRun) -> bool:
    rows = Deployment.objects.filter(environment=server.environment, fence=run.fence)
    number = whole_number(run.deployment)
    ours = rows.filter(pk=number) if number is not None else []
    imported = rows.filter(snapshot__imported__number=run.deployment, targets__server=server)
    return bool(ours) or imported.exists()


def _imported(actor: Actor, server: Server, run: PastRun, release: Release) -> Deployment:
    result = run.result or {}
    status = STATUSES.get(str(result.get("status")), TargetStatus.INTERRUPTED)
    rows = Deployment.objects.filter(environment=server.environment, fence=run.fence)
    row = rows.filter(snapshot__imported__number=run.deployment).first() or _row(server, run, release, status)
    _write_target(row, server, run, status)
    _write_approvals(row, run, _moment(run.at))
    trail.record(
        actor=actor,
        name=f"{row.kind}.imported",
        subject=f"deployment:{row.pk}",
        environment=server.environment,
        data={
            "server": server.name,
            "number": run.deployment,
            "fence": run.fence,
            "release": release.identifier,
            "status": row.status,
            "requested_by": row.requested_by,
            "approved_by": run.plan.get("approved_by", []),
        },
    )
    return row


def _row(server: Server, run: PastRun, release: Release, status: TargetStatus) -> Deployment:
    result = run.result or {}
    began, ended = _moment(run.at), moment(result)
    snapshot = _snapshot(server, run, release)
    return Deployment.objects.create(
        environment=server.environment,
        release=release,
        kind=snapshot.kind,
        status=_OUTCOME[status],
        outcome=str(result.get("reason", ""))[:60],
        sentence=str(result.get("sentence", "")),
        requested_by=one_line(str(run.plan.get("actor") or "unknown"))[:150],
        reason=one_line(str(run.plan.get("reason", "")))[:LIMIT],
        snapshot=snapshot.to_json(),
        seal=snapshot.seal,
        fence=run.fence,
        requested_at=began,
        queued_at=began,
        started_at=began,
        verified_at=ended if status == TargetStatus.SUCCEEDED else None,
        finished_at=ended,
    )


def _write_approvals(row: Deployment, run: PastRun, began: datetime) -> None:
    for approver in run.plan.get("approved_by", []):
        Approval.objects.get_or_create(
            deployment=row,
            actor=str(approver)[:150],
            defaults={"decision": Approval.Decision.APPROVED, "seal": row.seal, "decided_at": began},
        )


def _write_target(row: Deployment, server: Server, run: PastRun, status: TargetStatus) -> None:
    result: dict[str, Any] = run.result or {}
    target = Target.objects.create(
        deployment=row,
        server=server,
        order=row.targets.count(),
        status=status,
        outcome=str(result.get("reason", ""))[:60],
        sentence=str(result.get("sentence", "")),
        journal_seq=int(result.get("seq", 0)),
        facts=result.get("facts", {}),
        started_at=row.started_at,
        finished_at=moment(result),
    )
    Step.objects.bulk_create(
        Step(
            target=target,
            name=str(record["step"])[:30],
            state=record["state"] if record["state"] in StepState.values else StepState.FAILED,
            started_at=moment(record),
            finished_at=moment(record),
            seconds=record.get("seconds"),
            facts=record.get("facts", {}),
        )
        for record in run.steps
    )


def _snapshot(server: Server, run: PastRun, release: Release) -> Snapshot:
    """As a request would have sealed it, as far as the journal tells; `imported` says that nobody here did."""
    plan = run.plan
    return Snapshot(
        format=FORMAT,
        imported=Imported(number=run.deployment, server=server.name),
        kind=Kind.ROLLBACK if plan.get("takeover") else Kind.DEPLOYMENT,
        environment=server.environment.name,
        application=release.name,
        release=sealed_release(release),
        configuration=SealedConfiguration(digest=plan.get("config_digest", ""), files={}),
        targets=(_sealed_target(server, plan),),
        plan=SealedPlan(
            steps=tuple(dict.fromkeys(str(record["step"]) for record in run.steps)),
            deadlines=plan.get("deadlines", {}),
            keep=plan.get("keep", 0),
        ),
        policy=SealedPolicy(
            approvals_required=len(plan.get("approved_by", [])),
            on_failure="revert every server",
            bake_seconds=0,
            bake_action="",
        ),
    )


def _sealed_target(server: Server, plan: dict[str, Any]) -> SealedTarget:
    return SealedTarget(
        server=server.name,
        host=server.host,
        port=server.port,
        user=server.user,
        host_key=server.host_key,
        **({"jump": server.jump, "jump_host_key": server.jump_host_key} if server.jump else {}),
        roles=tuple(role["role"] for role in plan.get("roles", [])),
        unit_files={},
        secrets={},
        base=None,
    )


def _moment(text: str) -> datetime:
    return moment({"at": text})
