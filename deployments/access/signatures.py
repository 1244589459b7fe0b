"""An approval as a signature over the seal: what is signed, and by whose keys it counts.

`docs/security.md` shows how somebody without this program checks one from an export of the audit trail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC

from django.conf import settings
from django.db.models import Q, QuerySet

from deployments.models import Approval, Deployment, SigningKey
from engine.errors import NotAllowed
from engine.passkeys import MARK, PassKey, is_asserted
from engine.ssh.signatures import is_signed

NAMESPACE = "approval@cytube-ops"


def statement(deployment: Deployment, *, seal: str, decision: str, person: str) -> str:
    """The text that is signed: one request of this portal, its seal, its end, what was decided and by whom."""
    return (
        f"cytube-ops approval\ndeployment {deployment.pk}\nseal {seal}\nuntil {until(deployment)}\n"
        f"decision {decision}\nperson {person}\n"
    )


def until(deployment: Deployment) -> str:
    """When a request expires, in UTC and whole seconds."""
    return f"{deployment.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if deployment.expires_at else "never"


def statement_of(approval: Approval) -> str:
    """What a recorded approval's signature has to be over."""
    return statement(approval.deployment, seal=approval.seal, decision=approval.decision, person=approval.actor)


def approving(deployment: Deployment, person: str) -> str:
    """What `person` signs to approve this request."""
    return statement(deployment, seal=deployment.seal, decision=Approval.Decision.APPROVED, person=person)


def key_that_signed(deployment: Deployment, person: str, signature: str) -> SigningKey:
    """The confirmed key of `person` that signed the approval of this request as it is sealed now. Raises NotAllowed."""
    keys = valid_keys(person)
    if not keys:
        raise NotAllowed(
            f"{person} has no confirmed signing key.",
            hint="Add the public key in the portal (Signing keys); a second person confirms it.",
            reason="no_signing_key",
        )
    for key in keys:
        if _signed(approving(deployment, person), signature, key, settings.PORTAL_URL):
            return key
    raise NotAllowed(
        f"No confirmed key of {person} made this signature over the seal of deployment {deployment.pk}.",
        hint="Sign again: a request that was made anew has another number and another seal.",
        reason="bad_signature",
    )


def valid_keys(person: str) -> "QuerySet[SigningKey]":
    """Confirmed keys of a person that are not revoked."""
    return SigningKey.objects.filter(person=person, confirmed_at__isnull=False, revoked_at=None)


def problem_with(approval: Approval) -> str:
    """Why a recorded signature is none; empty when it is one, by a key that was confirmed and not revoked then."""
    then = approval.decided_at
    keys = SigningKey.objects.filter(
        Q(revoked_at=None) | Q(revoked_at__gt=then), person=approval.actor, fingerprint=approval.signed_with
    )
    key = keys.filter(confirmed_at__lte=then).first()
    if key is None:
        return f"{approval.actor} had no confirmed key {approval.signed_with} when it was given."
    if approval.seal != approval.deployment.seal:
        return "It is over another seal than the deployment has."
    if not _signed(statement_of(approval), approval.signature, key):
        return f"The key {approval.signed_with} did not sign this."
    return ""


@dataclass(frozen=True)
class Signed:
    """A recorded decision, and the key it says it was signed with: None when it was not, or nobody has that key."""

    approval: Approval
    key: SigningKey | None


def signed(deployment: Deployment) -> list[Signed]:
    """The decisions about a request with their keys, by the record; whether a signature is one says `problem_with`."""
    rows = list(deployment.approvals.all())
    prints = [row.signed_with for row in rows if row.signed_with]
    keys = {key.fingerprint: key for key in SigningKey.objects.filter(fingerprint__in=prints)} if prints else {}
    return [Signed(row, keys.get(row.signed_with)) for row in rows]


def findings() -> Iterator[tuple[Approval, str]]:
    """Every approval that was given, with what is wrong with its signature; unsigned ones have nothing to check."""
    rows = Approval.objects.filter(decision=Approval.Decision.APPROVED).select_related("deployment__environment")
    for row in rows.order_by("deployment_id", "pk").iterator(chunk_size=500):
        yield row, problem_with(row) if row.signature else ""


def is_signed_by(text: str, signature: str, *, person: str, public_key: str, origin: str = "") -> bool:
    """Whether this key, a passkey's or OpenSSH's, signed `text`; a passkey also on the site `origin` if named."""
    if public_key.startswith(f"{MARK} "):
        return is_asserted(text, signature, key=PassKey.parse(public_key), origin=origin)
    return is_signed(text, signature, signer=person, keys=[public_key], namespace=NAMESPACE)


def _signed(text: str, signature: str, key: SigningKey, origin: str = "") -> bool:
    return is_signed_by(text, signature, person=key.person, public_key=key.public_key, origin=origin)
