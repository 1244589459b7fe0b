"""Whether a request needs signed approvals, and whose signatures it has by the keys that this machine trusts."""

from datetime import timedelta

from django.utils import timezone

from deployments.access.signatures import is_signed_by, statement_of, valid_keys
from deployments.access.trust_anchor import Anchored, anchored, in_use, trusted_keys
from deployments.models import Approval, Deployment, Server
from deployments.snapshot import Snapshot

GRACE = timedelta(hours=1)
"""An approval may come in a request's last minute, and a worker be busy or away for a while."""


def signatures_needed(deployment: Deployment, sealed: Snapshot) -> int:
    """How many signed approvals it takes: by its sealed policy, its environment, or this machine's own record; else 0.

    A server that is anchored takes them whatever the row says that reaches it: break-glass is no way around.
    """
    known = _anchors(deployment)
    policy = sealed.policy
    by_policy = policy.signed_approvals or (not deployment.ended and deployment.environment.signed_approvals)
    held = max((each.approvals for each in known), default=0)
    return max(1, held, policy.approvals_required) if by_policy or held else 0


def signers(deployment: Deployment) -> set[str]:
    """Who signed an approval of this very seal with a key that counts on this machine.

    Before the start, the key must also stand in the record, confirmed and not revoked, and the time be before the one
    that was signed: a consent that was given once is not good for ever.
    """
    if not deployment.ended and (deployment.expires_at or timezone.now()) + GRACE < timezone.now():
        return set()
    given = deployment.approvals.filter(decision=Approval.Decision.APPROVED, seal=deployment.seal)
    return {approval.actor for approval in given if _counts(approval, ended=deployment.ended)}


def from_before(success: Deployment) -> bool:
    """Whether it had succeeded before its servers were anchored, by this machine's own record."""
    held = [each for each in _anchors(success) if each.approvals]
    return bool(held) and all(success.seal in each.earlier for each in held)


def _counts(approval: Approval, *, ended: bool) -> bool:
    keys = trusted_keys(approval.actor)
    if not ended:
        standing = set(valid_keys(approval.actor).values_list("public_key", flat=True))
        keys = [key for key in keys if key in standing]
    text, who = statement_of(approval), approval.actor
    return any(is_signed_by(text, approval.signature, person=who, public_key=key) for key in keys)


def _anchors(deployment: Deployment) -> list[Anchored]:
    """Of every server it names; once it has ended, of those that a way back to it would reach now."""
    if not in_use():
        return []
    if deployment.ended:
        reached = deployment.environment.servers.exclude(state=Server.State.RETIRED)
        return anchored(reached.values_list("host_key", flat=True))
    return anchored(target.host_key for target in deployment.sealed.targets)
