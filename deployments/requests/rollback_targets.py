"""Where an environment may go back to: a release that succeeded there under a policy that was met.

That success is looked for in the records and in the audit trail: a row that somebody wrote into a table, without the
events that go with it, is no rollback target. What was sealed with it is what the rollback takes (`requests.inputs`).
"""

from collections.abc import Iterator, Mapping, Sequence

from django.db.models import QuerySet

from deployments.core import selectors
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.audit_evidence import Evidence
from deployments.requests.signed_approvals import from_before, signatures_needed, signers
from deployments.requests.snapshots import take_snapshot
from deployments.snapshot import Snapshot, seal
from engine.errors import InvalidRequest

LOOKED_AT = 50
"""Successes of one environment or release that are looked at, newest first."""


def success_of(environment: Environment, release: Release) -> Deployment:
    """The last success of `release` in `environment` under a policy that was met.

    Raises InvalidRequest, saying what is missing.
    """
    why = f"{release} has never succeeded in {environment}."
    rows = _successes(environment).filter(release=release, kind=Kind.DEPLOYMENT)[:LOOKED_AT]
    for row in rows.iterator(chunk_size=4):
        lacking = lacking_of(Evidence.of(row))
        if not lacking:
            return row
        why = lacking
    raise InvalidRequest(
        f"{release} is no rollback target of {environment}: {why}",
        hint="A rollback needs no approval because its release has had one here; request a deployment of it instead.",
        reason="no_way_back",
    )


def rollback_snapshot(*, environment: Environment, release: Release) -> Snapshot:
    """What a rollback of `environment` to `release` would use now. Raises InvalidRequest when there is none."""
    success = success_of(environment, release)
    return take_snapshot(environment=environment, release=release, success=success)


def releases_to_go_back_to(environment: Environment) -> Iterator[Release]:
    """Releases other than the live one that are ways back and not quarantined, the one that ran last first.

    The live one too while a server was left out of the way back to it.
    """
    live = selectors.last_release(environment)
    seen = {live.pk} if live is not None and left_out(environment) is None else set()
    rows = _successes(environment).filter(release__quarantined_at=None)[: LOOKED_AT * 4]
    for row in rows.iterator(chunk_size=4):  # the first or second is it, nearly always
        if row.release_id in seen:
            continue
        seen.add(row.release_id)
        if is_way_back(environment, row.release):
            yield row.release


def rollback_target(environment: Environment) -> Release | None:
    """The release that ran before the live one, or the live one where a way back to it left a server out.

    None where nothing runs any more: there is nothing to go back from.
    """
    if selectors.live_release(environment) is None:
        return None
    return next(releases_to_go_back_to(environment), None)


def left_out(environment: Environment) -> Deployment | None:
    """What the last rollback took back and a server still runs by the record, as its deployment; None as a rule."""
    last = _successes(environment).first()
    if last is None or last.kind != Kind.ROLLBACK:
        return None
    servers = Server.objects.filter(environment=environment, current_release__quarantined_at__isnull=False)
    left = servers.exclude(state=Server.State.RETIRED).exclude(current_release=last.release)
    return _successes(environment).filter(release__in=left.values("current_release")).first()


def why_none(environment: Environment) -> str:
    """Why there is no release to go back to, in a sentence; empty when there is one."""
    if rollback_target(environment) is not None:
        return ""
    live = selectors.live_release(environment)
    if live is None and selectors.last_release(environment) is not None:
        return f"{environment} has nothing to go back from: nothing runs on any of its servers."
    others = _successes(environment).exclude(release=live) if live is not None else _successes(environment)
    if live is None or not others.exists():
        only = "one alone" if live else "none"
        return f"{environment} has no earlier release to go back to: {only} has succeeded there."
    earlier = others.filter(release__quarantined_at=None).first()
    if earlier is None:
        return _quarantined(environment, [str(row.release) for row in others[:LOOKED_AT]])
    try:
        success_of(environment, earlier.release)
    except InvalidRequest as error:
        return error.message
    return f"{environment} has no earlier release to go back to."


def all_in_quarantine(environments: Sequence[Environment], live: Mapping[int, Release | None]) -> dict[int, str]:
    """The same sentence for those where something that succeeded, and is not live, is in quarantine. One query."""
    rows = Deployment.objects.filter(
        environment__in=environments, status=Status.SUCCEEDED, release__quarantined_at__isnull=False
    )
    found: dict[int, list[str]] = {}
    named = rows.order_by().values_list("environment_id", "release__identifier", "release_id").distinct()
    for environment, name, release in named:
        runs = live.get(environment)
        if runs is None or runs.pk != release:
            found.setdefault(environment, []).append(name)
    return {each.pk: _quarantined(each, found[each.pk]) for each in environments if each.pk in found}


def _quarantined(environment: Environment, names: Sequence[str]) -> str:
    once = list(dict.fromkeys(names))
    return f"{environment} cannot go back: {', '.join(once)} {'is' if len(once) == 1 else 'are'} in quarantine."


def refuse_quarantined(release: Release) -> None:
    """Raise InvalidRequest for one that was taken back for being bad, here or elsewhere."""
    now = Release.objects.get(pk=release.pk)  # as it is now, not when the caller read it
    if now.quarantined:
        raise InvalidRequest(
            f"{now} is in quarantine ({now.quarantine_reason}): nobody goes back to it.",
            hint="Deploy it again, with a reason and the approvals that it takes, if it is good after all.",
            reason="quarantined",
        )


def is_way_back(environment: Environment, release: Release) -> bool:
    """Whether `success_of` finds one; whether it is in quarantine is another question."""
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


def lacking_of(evidence: Evidence) -> str:
    """Why this success is no consent to go back to it; empty when it is."""
    success = evidence.deployment
    number = f"deployment {success.pk}"
    sealed, release = success.sealed, success.release
    if sealed.imported:
        return f"{number} was made without this portal, which does not know what was sealed with it."
    if seal(success.snapshot) != success.seal or not evidence.requested or not evidence.succeeded:
        return f"{number} is not in the audit trail as its record says."
    digests = (sealed.release.manifest_digest, sealed.release.artifact_digest)
    if digests != (release.manifest_digest, release.artifact_digest):
        return f"its artifact is another one than {number} had."
    if (
        (signed := signatures_needed(success, sealed))
        and not from_before(success)
        and len(signers(success) & evidence.approvers()) < signed
    ):
        return f"{number} lacks signed approvals, by the keys that count here."
    if success.break_glass:
        return "" if evidence.reviewed else f"{number} used break-glass, and nobody has reviewed that yet."
    needed = sealed.policy.approvals_required
    given = len(evidence.approvers())
    return "" if given >= needed else f"{number} has {given} of the {needed} approvals it needed."
