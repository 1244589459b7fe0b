"""Where an environment may go back to: a release that succeeded there under a policy that was met.

That success is looked for in the records and in the audit trail: a row that somebody wrote into a table, without the
events that go with it, is no way back. What was sealed with it is what the rollback takes (`requests.snapshots`).
"""

from collections.abc import Iterator

from django.db.models import QuerySet

from deployments.core import selectors
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release
from deployments.requests.consents import from_before, signatures_needed, signers
from deployments.requests.evidence import Evidence
from deployments.requests.snapshot import Snapshot, seal
from deployments.requests.snapshots import take_snapshot
from engine.errors import InvalidRequest

LOOKED_AT = 50
"""Successes of one environment or release that are looked at, newest first."""


def success_of(environment: Environment, release: Release) -> Deployment:
    """The last success of `release` in `environment` under a policy that was met.

    Raises InvalidRequest, saying what is missing.
    """
    why = f"{release} has never succeeded in {environment}."
    for row in _successes(environment).filter(release=release, kind=Kind.DEPLOYMENT)[:LOOKED_AT]:
        lacking = _lacking(row)
        if not lacking:
            return row
        why = lacking
    raise InvalidRequest(
        f"{release} is no way back for {environment}: {why}",
        hint="A rollback needs no approval because its release has had one here; request a deployment of it instead.",
        reason="no_way_back",
    )


def rollback_snapshot(*, environment: Environment, release: Release) -> Snapshot:
    """What a rollback of `environment` to `release` would use now. Raises InvalidRequest when there is no way back."""
    success = success_of(environment, release)
    return take_snapshot(environment=environment, release=release, success=success)


def releases_to_go_back_to(environment: Environment) -> Iterator[Release]:
    """Releases other than the live one that are ways back and not quarantined, the one that ran last first."""
    live = selectors.live_release(environment)
    seen = {live.pk} if live is not None else set()
    for row in _successes(environment).filter(release__quarantined_at=None)[: LOOKED_AT * 4]:
        if row.release_id in seen:
            continue
        seen.add(row.release_id)
        if is_way_back(environment, row.release):
            yield row.release


def rollback_target(environment: Environment) -> Release | None:
    """The release that ran before the live one: not quarantined, and consented to."""
    return next(releases_to_go_back_to(environment), None)


def is_way_back(environment: Environment, release: Release) -> bool:
    """Whether `success_of` finds one."""
    try:
        success_of(environment, release)
    except InvalidRequest:
        return False
    return True


def can_roll_back(environment: Environment) -> bool:
    """Whether there is an earlier release to go back to, or something running to end."""
    return selectors.active_deployment(environment) is not None or rollback_target(environment) is not None


def _successes(environment: Environment) -> QuerySet[Deployment]:
    rows = Deployment.objects.filter(environment=environment, status=Status.SUCCEEDED)
    return rows.select_related("environment", "release").order_by("-finished_at", "-id")


def _lacking(success: Deployment) -> str:
    """Why this success is no consent to go back to it; empty when it is."""
    number = f"deployment {success.pk}"
    snapshot, release = success.snapshot, success.release
    if "imported" in snapshot:
        return f"{number} was made without this portal, which does not know what was sealed with it."
    evidence = Evidence.of(success)
    if seal(snapshot) != success.seal or not evidence.requested or not evidence.succeeded:
        return f"{number} is not in the audit trail as its record says."
    sealed = {name: snapshot["release"].get(name) for name in ("manifest_digest", "artifact_digest")}
    if sealed != {"manifest_digest": release.manifest_digest, "artifact_digest": release.artifact_digest}:
        return f"its artifact is another one than {number} had."
    if (
        (signed := signatures_needed(success))
        and not from_before(success)
        and len(signers(success) & evidence.approvers()) < signed
    ):
        return f"{number} lacks signed approvals, by the keys that count here."
    if success.break_glass:
        return "" if evidence.reviewed else f"{number} used break-glass, and nobody has reviewed that yet."
    needed = int(snapshot["policy"]["approvals_required"])
    given = len(evidence.approvers())
    return "" if given >= needed else f"{number} has {given} of the {needed} approvals it needed."
