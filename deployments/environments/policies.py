"""The approval policy of an environment: tightened at once, loosened only with a second person's consent.

A team of one has no second person. There, and only there, loosening is done by its one member, who writes the
environment's name to show that it is meant; it is recorded under a name of its own and announced (docs/security.md).
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.access.four_eyes import refuse_same_person
from deployments.access.policy import require, still_may
from deployments.access.team import is_alone
from deployments.access.trust_anchor import trusted_keys
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.row_locks import locked_environment
from deployments.core.texts import checked
from deployments.environments.policy_floors import Policy, check_approvals
from deployments.models import Environment, PolicyChange, SigningKey
from deployments.notifications.messages import notify_environment
from deployments.releases.origin import STRICTNESS, From
from engine.errors import Conflict, InvalidRequest

MAX_HOURS = 24 * 30
MOST_FAILURES = 100


def change_policy(
    *,
    actor: Actor,
    environment: Environment,
    approvals_required: int,
    approval_hours: int,
    reason: str,
    confirmation: str = "",
    signed_approvals: bool | None = None,
    max_failures: int | None = None,
    releases_from: str | None = None,
) -> PolicyChange | None:
    """Change how many approvals `environment` asks for, for how long, whether signed; failures, and releases it takes.

    Returns the request when a second person must agree, else None. `confirmation`, of a team of one, is the name of the
    environment. What waits for approval loses its seal. Raises NotAllowed, InvalidRequest, Conflict (a change waits).
    """
    require(actor, Verb.CONFIGURE, environment)
    if not reason.strip():
        raise InvalidRequest("Changing the approval policy needs a reason.", hint="Say why.", reason="no_reason")
    reason = checked(reason)
    others = {"signed_approvals": signed_approvals, "max_failures": max_failures, "releases_from": releases_from}
    wanted: Policy = {name: value for name, value in others.items() if value is not None}
    wanted |= {"approvals_required": approvals_required, "approval_hours": approval_hours}
    _check(wanted)
    with transaction.atomic():
        locked = locked_environment(environment.pk)
        changes = {name: value for name, value in wanted.items() if value != getattr(locked, name)}
        before = {name: getattr(locked, name) for name in changes}
        if not changes:
            raise InvalidRequest("Nothing would change.", reason="no_change")
        loosened = loosens(before, changes, protected=locked.protected)
        if loosened and not is_alone(actor):
            return _ask(actor, locked, before, changes, reason)
        if loosened:
            _require_confirmation(locked, confirmation)
        name = "environment.policy_loosened_alone" if loosened else "environment.policy_tightened"
        _apply(actor, locked, name, before, changes, reason)
    environment.refresh_from_db()
    return None


def decide_policy_change(*, actor: Actor, change: PolicyChange, approve: bool, comment: str = "") -> PolicyChange:
    """Consent to a loosening, or refuse it. Raises NotAllowed (role, four eyes), Conflict (decided, outdated)."""
    require(actor, Verb.DECIDE_POLICY, change.environment)
    refuse_same_person(actor, change.requested_by, what="a change of policy")
    if not approve and not comment.strip():
        raise InvalidRequest("A refusal needs a reason.", hint="Say what speaks against it.", reason="no_reason")
    comment = checked(comment, what="A comment")
    with transaction.atomic():
        locked = locked_environment(change.environment_id)
        if approve and any(getattr(locked, name) != value for name, value in change.before.items()):
            raise Conflict(
                "The policy has changed since this was asked for.",
                hint="Refuse it; whoever asked can ask again.",
                reason="outdated",
            )
        if approve and not still_may(change.requested_by, Verb.CONFIGURE, locked):
            raise Conflict(
                f"Nobody stands behind it: {change.requested_by}, who asked for it, may not configure any more.",
                hint="Refuse it; an administrator can ask again.",
                reason="nobody_behind_it",
            )
        state = PolicyChange.State.APPLIED if approve else PolicyChange.State.REJECTED
        _end(change, state, actor, comment)
        if approve:
            data = {"requested_by": change.requested_by, "comment": comment}
            _apply(actor, locked, "environment.policy_loosened", change.before, change.changes, change.reason, **data)
        else:
            _record(actor, locked, "environment.policy_change_refused", change, comment=comment)
            notify_environment(locked, "policy", what=f"change of policy refused by {actor}", lines=[comment])
    change.refresh_from_db()
    return change


def withdraw_policy_change(*, actor: Actor, change: PolicyChange) -> PolicyChange:
    """Take back a waiting request; any administrator may, since nothing is loosened by it."""
    require(actor, Verb.CONFIGURE, change.environment)
    with transaction.atomic():
        locked = locked_environment(change.environment_id)
        _end(change, PolicyChange.State.WITHDRAWN, actor, "")
        _record(actor, locked, "environment.policy_change_withdrawn", change)
    change.refresh_from_db()
    return change


def loosens(before: Policy, changes: Policy, *, protected: bool) -> bool:
    """Whether any change asks for less: fewer approvals, more time to get them, none signed, or more failures.

    Other releases count where approvals are asked for: elsewhere nobody consents to any.
    """
    after = {**before, **changes}
    fewer = after.get("approvals_required", 0) < before.get("approvals_required", 0)
    longer = after.get("approval_hours", 0) > before.get("approval_hours", 0)
    unsigned = before.get("signed_approvals", 0) and not after.get("signed_approvals", 0)
    failing = after.get("max_failures", 0) > before.get("max_failures", 0)
    kinds = [STRICTNESS[each["releases_from"]] for each in (before, after) if "releases_from" in each]
    other = protected and kinds != sorted(kinds)
    return bool(fewer or longer or unsigned or failing or other)


def _ask(actor: Actor, locked: Environment, before: Policy, changes: Policy, reason: str) -> PolicyChange:
    try:
        with transaction.atomic():
            change = PolicyChange.objects.create(
                environment=locked, before=before, changes=changes, reason=reason, requested_by=str(actor)
            )
    except IntegrityError as error:
        raise Conflict(
            f"Another change of the policy of {locked} waits for a decision.",
            hint="Withdraw it first.",
            reason="change_waits",
        ) from error
    _record(actor, locked, "environment.policy_change_requested", change)
    lines = [change.sentence, f"Reason: {reason}", "A second person, an approver, decides about it in the portal."]
    notify_environment(locked, "policy", what=f"{actor} wants to loosen the approval policy", lines=lines)
    return change


def _apply(
    actor: Actor,
    locked: Environment,
    name: str,
    before: Policy,
    changes: Policy,
    reason: str,
    **data: Any,
) -> None:
    _refuse_unsignable(locked, changes)
    for field, value in changes.items():
        setattr(locked, field, value)
    locked.save(update_fields=list(changes))
    pairs = {field: [before[field], value] for field, value in changes.items()}
    trail.record(
        actor=actor,
        name=name,
        subject=f"environment:{locked}",
        environment=locked,
        data={"changes": pairs, "reason": reason, **data},
    )
    words = ", ".join(f"{field.replace('_', ' ')} {old} → {new}" for field, (old, new) in pairs.items())
    notify_environment(locked, "policy", what=f"approval policy changed by {actor}", lines=[words, f"Reason: {reason}"])


def _record(actor: Actor, locked: Environment, name: str, change: PolicyChange, **data: Any) -> None:
    pairs = {field: [change.before.get(field), value] for field, value in change.changes.items()}
    trail.record(
        actor=actor,
        name=name,
        subject=f"environment:{locked}",
        environment=locked,
        data={"changes": pairs, "reason": change.reason, "requested_by": change.requested_by, **data},
    )


def _end(change: PolicyChange, state: PolicyChange.State, actor: Actor, comment: str) -> None:
    waiting = PolicyChange.objects.filter(pk=change.pk, state=PolicyChange.State.WAITING)
    if not waiting.update(state=state, decided_by=str(actor), decided_at=timezone.now(), comment=comment):
        change.refresh_from_db()
        raise Conflict(
            f"This change is {change.get_state_display().lower()} already: there is nothing to decide.",
            reason="not_waiting",
        )


def _check(wanted: Policy) -> None:
    check_approvals(wanted["approvals_required"])
    if not 1 <= wanted["approval_hours"] <= MAX_HOURS:
        raise InvalidRequest(f"A request waits for 1 to {MAX_HOURS} hours.")
    if wanted.get("releases_from", From.VERSIONS) not in From.values:
        raise InvalidRequest(f"An environment takes releases from {', '.join(From.values)}.")
    if not 0 <= wanted.get("max_failures", 0) <= MOST_FAILURES:
        raise InvalidRequest(f"0 to {MOST_FAILURES} servers may fail.")


def _refuse_unsignable(locked: Environment, changes: Policy) -> None:
    """Else nothing could be approved any more, and no way back would come into being."""
    if not changes.get("signed_approvals"):
        return
    needed = changes.get("approvals_required", locked.approvals_required)
    keys = SigningKey.objects.filter(revoked_at=None, confirmed_at__isnull=False)
    able = {key.person for key in keys if key.public_key in trusted_keys(key.person)}
    able = {name for name in able if still_may(name, Verb.APPROVE, locked)}
    if not needed or len(able) < needed:
        raise InvalidRequest(
            f"{len(able)} approvers have a signing key that counts on this machine; {locked} would ask for {needed}.",
            hint="Add keys (Signing keys), let a second person confirm them, then `manage.py approvals trust`.",
            reason="nobody_can_sign",
        )


def _require_confirmation(locked: Environment, confirmation: str) -> None:
    if confirmation != locked.name:
        raise InvalidRequest(
            f"Nobody else can consent: from then on one person alone decides what runs on {locked}.",
            hint=f"Write {locked.name} to confirm that this is meant.",
            reason="confirmation_needed",
        )
