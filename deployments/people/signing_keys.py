"""Keys that people sign approvals with: added by their person, confirmed by a second one, revoked for good.

A key is enrolled like a server's host key: its fingerprint is compared by somebody who does not profit from it.
"""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.access import second_factor
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Approval, SigningKey, SingleSignOn
from deployments.people.confirming import refuse_who_profits
from deployments.requests.approvals import void_consents
from engine.errors import Conflict, InvalidRequest
from engine.passkeys import PassKey
from engine.ssh.signatures import PersonKey


def add_key(*, actor: Actor, name: str, public_key: str, credential: str = "") -> SigningKey:
    """Record one's own public key; it counts once somebody else has confirmed it.

    A passkey has a `credential`, the name by which a browser finds it again. Raises NotAllowed, InvalidRequest,
    UnusableKey.
    """
    require(actor, Verb.OWN_KEY)
    if "PRIVATE KEY" in public_key:
        raise InvalidRequest("That is a private key.", hint="Paste the content of the .pub file, and make a new key.")
    key = PassKey(public_key) if credential else PersonKey.parse(public_key)
    name = checked(name, what="A name", limit=100)
    if not name:
        raise InvalidRequest("A key needs a name.", hint="Say what holds it, for example: security key at home.")
    if credential and SigningKey.objects.filter(credential=credential).exists():
        raise Conflict(  # a browser names a passkey by it: whoever took another's name would keep them out
            "A passkey of this name is in the record already.", hint="Make a new one.", reason="key_known"
        )
    with transaction.atomic():
        try:
            with transaction.atomic():
                made = SigningKey.objects.create(
                    person=actor.identity,
                    name=name,
                    public_key=str(key),
                    credential=credential,
                    fingerprint=key.fingerprint,
                    added_by=str(actor),
                )
        except IntegrityError as error:
            raise Conflict(
                f"The key {key.fingerprint} is in the record already.",
                hint="A key is one person's, and one that was revoked never comes back: make a new one.",
                reason="key_known",
            ) from error
        _record(actor, made, "key_added")
    return made


def confirm_key(*, actor: Actor, key: SigningKey, fingerprint: str) -> SigningKey:
    """A second person has compared the fingerprint with the key's owner.

    Raises NotAllowed (role, own key, or whoever knows the owner's password), InvalidRequest (another fingerprint),
    Conflict (confirmed or revoked already).
    """
    require(actor, Verb.CONFIRM_KEY)
    refuse_who_profits(actor, person=key.person, what="key", added_by=key.added_by)
    if fingerprint.strip() != key.fingerprint:
        raise InvalidRequest(
            f"The key of {key.person} has another fingerprint than the one given.",
            hint=f"Ask {key.person} to read it to you (ssh-keygen -lf KEY.pub), and write what you hear.",
            reason="fingerprint_differs",
        )
    with transaction.atomic():
        waiting = SigningKey.objects.filter(pk=key.pk, confirmed_at=None, revoked_at=None)
        if not waiting.update(confirmed_by=str(actor), confirmed_at=timezone.now()):
            raise Conflict(f"The key {key} does not wait for confirmation.", reason="not_waiting")
        key.refresh_from_db()
        _record(actor, key, "key_confirmed")
    return key


def revoke_key(*, actor: Actor, key: SigningKey) -> SigningKey:
    """End a key for good: its person, or an administrator. Requests that wait or are queued with its consent end.

    Where an administrator ends somebody's last second factor, password and single sign-on end too: they come in again
    by a link, for which `access.four_eyes` holds, and never by less than they had set up.
    """
    require(actor, Verb.OWN_KEY if actor.identity == key.person else Verb.MANAGE_PEOPLE)
    with transaction.atomic():
        if not SigningKey.objects.filter(pk=key.pk, revoked_at=None).update(
            revoked_by=str(actor), revoked_at=timezone.now()
        ):
            raise Conflict(f"The key {key} is revoked already.", reason="not_waiting")
        key.refresh_from_db()
        _record(actor, key, "key_revoked")
        why = f"{key.person}'s key {key.fingerprint}, which signed an approval, was revoked."
        void_consents(actor=actor, given=Approval.objects.filter(signed_with=key.fingerprint), why=why)
        if key.passkey and actor.identity != key.person:
            _end_what_is_left(key.person)
    return key


def _end_what_is_left(name: str) -> None:
    person = User.objects.filter(username=name).first()
    if person is not None and not second_factor.is_needed(person):
        person.set_unusable_password()
        person.save(update_fields=["password"])
        SingleSignOn.objects.filter(person=person).delete()


def revoke_keys_of(*, actor: Actor, person: str) -> None:
    """End every key of somebody whose access has ended; the caller has asked who may."""
    for key in SigningKey.objects.filter(person=person, revoked_at=None):
        revoke_key(actor=actor, key=key)


def _record(actor: Actor, key: SigningKey, event: str) -> None:
    trail.record(
        actor=actor,
        name=f"person.{event}",
        subject=f"person:{key.person}",
        data={"key": key.name, "public_key": key.public_key, "fingerprint": key.fingerprint},
    )
