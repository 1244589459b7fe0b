"""The documents of the control plane's API."""

from datetime import datetime

from ninja import Schema
from pydantic import Field

from deployments.core import selectors
from deployments.http.documents import Document
from deployments.http.paging import EnvironmentName, Name, Text
from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment, Release, Server
from deployments.requests.seals import approvals_needed
from engine.ssh.signatures import MAX_SIGNATURE


class ReleaseOut(Document):
    """A release."""

    identifier: str = Field(examples=["1.4.0-3f9a1c22d0be"])
    name: str = Field(examples=["rosey"])
    version: str = Field(examples=["1.4.0"])
    manifest_digest: str
    artifact_digest: str
    size: int = Field(description="Bytes of the artifact.", examples=[184320])
    files: int = Field(examples=[83])
    commit: str
    ref: str
    tag: str = Field(description="The tag of its version, where it was at its commit; else empty.", examples=["v1.4.0"])
    builder: str
    built_at: datetime
    quarantined: bool = Field(description="A rollback marked it as bad.")
    quarantine_reason: str

    @classmethod
    def of(cls, row: Release) -> "ReleaseOut":
        """The document of a record."""
        return cls(
            identifier=row.identifier,
            name=row.name,
            version=row.version,
            manifest_digest=row.manifest_digest,
            artifact_digest=row.artifact_digest,
            size=row.size,
            files=row.files,
            commit=row.commit,
            ref=row.ref,
            tag=row.tag,
            builder=row.builder,
            built_at=row.built_at,
            quarantined=row.quarantined,
            quarantine_reason=row.quarantine_reason,
        )


class ReleasePage(Document):
    """Releases, newest first."""

    items: list[ReleaseOut]
    next_before: int | None = Field(description="`before` of the next page.")


class ServerOut(Document):
    """A server. Its address and keys are not told."""

    name: str = Field(examples=["prod-1"])
    environment: str = Field(examples=["production"])
    roles: list[str] = Field(examples=[["bot"]])
    state: str = Field(examples=["provisioned"])
    current_release: str | None
    previous_release: str | None
    rollback_ready: bool | None = Field(description="Whether a rollback would find what it needs; null: not looked at.")
    drift: list[str] = Field(description="How it differs from its record, in sentences, as far as anybody looked.")
    inspected_at: datetime | None = Field(
        description="When it was last compared with its record; null: not since its address and key were confirmed."
    )

    @classmethod
    def of(cls, row: Server) -> "ServerOut":
        """The document of a record."""
        return cls(
            name=row.name,
            environment=str(row.environment),
            roles=[str(role) for role in row.roles],
            state=row.state,
            current_release=row.current_release.identifier if row.current_release else None,
            previous_release=row.previous_release.identifier if row.previous_release else None,
            rollback_ready=row.readiness.get("ready"),
            drift=[str(sentence) for sentence in row.drift.get("differences", [])],
            inspected_at=row.inspected_at,
        )


class EnvironmentOut(Document):
    """An environment."""

    name: str = Field(
        description="What it is called: APPLICATION/NAME where several applications have the name.",
        examples=["production"],
    )
    application: str = Field(description="Empty until something was provisioned or deployed there.")
    retired: bool = Field(description="Kept for its history alone.")
    approvals_required: int = Field(examples=[1])
    releases_from: str = Field(
        description="What it takes: commits (any release), versions (none that a commit named), tags (only tagged).",
        examples=["tags"],
    )
    locked: bool
    lock_reason: str
    locked_until: datetime | None = Field(description="When the lock ends by itself; null: when somebody unlocks it.")
    maintenance_until: datetime | None = Field(description="The end of the maintenance that is under way.")
    live_release: str | None = Field(description="What runs there by the record.")
    rollback_target: str | None
    active_deployment: int | None


class ApprovalOut(Document):
    """One person's decision."""

    actor: str
    decision: str = Field(examples=["approved"])
    comment: str
    decided_at: datetime
    signed_with: str = Field(description="The fingerprint of the key that signed it; empty when none did.")

    @classmethod
    def of(cls, row: Approval) -> "ApprovalOut":
        """The document of a record."""
        return cls(
            actor=row.actor,
            decision=row.decision,
            comment=row.comment,
            decided_at=row.decided_at,
            signed_with=row.signed_with,
        )


class StepOut(Document):
    """One recorded action on one server."""

    name: str = Field(examples=["verify"])
    state: str = Field(examples=["ok"])
    started_at: datetime
    seconds: float | None


class TargetOut(Document):
    """A server taking part in a deployment."""

    server: str
    status: str
    sentence: str
    looked_at: str = Field(
        description="What was looked at after its activation, and for how long.",
        examples=["3 healthy answers in a row; my-bot.service watched for 0.3 s, no restart"],
    )
    base_release: str | None
    steps: list[StepOut]


class DeploymentOut(Document):
    """A deployment."""

    number: int = Field(examples=[41])
    environment: str = Field(examples=["production"])
    release: str = Field(examples=["1.4.0-3f9a1c22d0be"])
    version: str = Field(examples=["1.4.0"])
    kind: Kind
    status: Status
    ended: bool = Field(description="Whether the status can no longer change.")
    taken_back: bool = Field(description="It succeeded, and a rollback followed: it runs no more.")
    outcome: str = Field(description="A stable word for why it ended as it did.", examples=["verified"])
    sentence: str = Field(description="What happened, what it means, what to do next.")
    exit_code: int | None = Field(
        description="What a command line that waited for it exits with; null while it is active.", examples=[0]
    )
    requested_by: str
    reason: str
    break_glass: bool
    seal: str
    rollback_of: int | None
    superseded_by: int | None
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    seconds: float | None = Field(description="Claim to end.", examples=[4.2])

    @classmethod
    def fields_of(cls, row: Deployment) -> dict[str, object]:
        """What the short and the long document share."""
        status = Status(row.status)
        return {
            "number": row.pk,
            "environment": str(row.environment),
            "release": row.release.identifier,
            "version": row.release.version,
            "kind": Kind(row.kind),
            "status": status,
            "ended": row.ended,
            "taken_back": selectors.was_taken_back(row),
            "outcome": row.outcome,
            "sentence": row.sentence,
            "exit_code": None if row.active else row.exit_code,
            "requested_by": row.requested_by,
            "reason": row.reason,
            "break_glass": row.break_glass,
            "seal": row.seal,
            "rollback_of": row.rollback_of_id,
            "superseded_by": row.superseded_by_id,
            "requested_at": row.requested_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "expires_at": row.expires_at,
            "seconds": row.seconds,
        }

    @classmethod
    def of(cls, row: Deployment) -> "DeploymentOut":
        """The document of a record."""
        return cls.model_validate(cls.fields_of(row))


class DeploymentDetail(DeploymentOut):
    """A deployment with its servers, steps and approvals."""

    targets: list[TargetOut]
    approvals: list[ApprovalOut]
    approvals_needed: int

    @classmethod
    def of(cls, row: Deployment) -> "DeploymentDetail":
        """The document of a record."""
        targets = row.targets.select_related("server", "base_release").prefetch_related("steps")
        more = {
            "targets": [
                TargetOut(
                    server=target.server.name,
                    status=target.status,
                    sentence=target.sentence,
                    looked_at=target.looked_at,
                    base_release=target.base_release.identifier if target.base_release else None,
                    steps=[
                        StepOut(name=step.name, state=step.state, started_at=step.started_at, seconds=step.seconds)
                        for step in target.steps.all()
                    ],
                )
                for target in targets
            ],
            "approvals": [ApprovalOut.of(approval) for approval in row.approvals.all()],
            "approvals_needed": approvals_needed(row),
        }
        return cls.model_validate(cls.fields_of(row) | more)


class DeploymentPage(Document):
    """Deployments, newest first."""

    items: list[DeploymentOut]
    next_before: int | None = Field(description="`before` of the next page.")


class DeploymentIn(Schema):
    """A request for a deployment."""

    environment: EnvironmentName = Field(examples=["production"])
    release: Name | None = Field(
        None,
        description="Identifier or version; left out: the newest that succeeded in the environment before it.",
        examples=["1.4.0-3f9a1c22d0be"],
    )
    promote_from: EnvironmentName | None = Field(
        None, description="Instead of a release: what is live there.", examples=["test"]
    )
    again: bool = Field(False, description="Without a release: also one that ended badly there before.")
    reason: Text = Field("", examples=["Answers voteskip politely"])
    break_glass: bool = Field(False, description="Without approval: announced loudly, and open until reviewed.")


class RollbackIn(Schema):
    """A request for a rollback."""

    environment: EnvironmentName = Field(examples=["production"])
    reason: Text = Field(min_length=1, examples=["Errors since 1.4.1"])
    to: Name | None = Field(
        None, description="Release to go back to; the previous one when left out.", examples=["1.3.1"]
    )


class DecisionIn(Schema):
    """A decision about a waiting request."""

    decision: Approval.Decision = Field(examples=["approved"])
    comment: Text = Field("", description="A rejection needs one.", examples=["Plan read"])
    signature: str = Field(
        "",
        max_length=MAX_SIGNATURE,
        description="Of an approval: an SSH signature over its statement, as security.md shows it.",
        examples=["-----BEGIN SSH SIGNATURE-----…"],
    )
