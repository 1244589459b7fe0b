"""Letting somebody in again who has lost every way: an act of an administrator, recorded, announced and distrusted.

Whoever recovers an account could sign in as its owner. So for three days, or until a third person has vouched for the
owner, both count as one person (`access.four_eyes`).
"""

from django.contrib.auth.models import User
from django.db import transaction

from deployments.access.four_eyes import controllers_of, with_controllers
from deployments.access.policy import require
from deployments.access.tokens import revoke_tokens_of
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.texts import checked
from deployments.models import Approval, AuthenticatorApp, GitHubAccount, RecoveryCode, SigningKey, SingleSignOn
from deployments.models.encryption import SecretText
from deployments.notifications.messages import notify_everyone
from deployments.people.accounts import end_sessions
from deployments.people.invitations import new_link
from deployments.people.signing_keys import revoke_key
from deployments.requests.approvals import void_consents
from engine.errors import Conflict, InvalidRequest, NotAllowed


def recover(*, actor: Actor, person: User, reason: str) -> SecretText:
    """End every way in that somebody has, and make the link by which they come back.

    Password, passkeys, app, recovery codes, sessions and tokens end, and requests that wait with their consent. Their
    SSH keys stay: those are no way in, and a second person has confirmed them. What their account on GitHub starts is
    theirs no more, since whoever had this one could have linked another. Raises NotAllowed (also for oneself),
    Conflict (switched off).
    """
    require(actor, Verb.MANAGE_PEOPLE)
    name, reason = person.get_username(), checked(reason)
    if not reason:
        raise InvalidRequest(
            "Recovering an account needs a reason.", hint="Say how you know that it is them.", reason="no_reason"
        )
    if name in actor.people:
        raise NotAllowed("Nobody recovers their own account.", hint="Ask another administrator.", reason="four_eyes")
    with transaction.atomic():
        end_sessions(person)
        person.set_unusable_password()
        person.save(update_fields=["password"])
        AuthenticatorApp.objects.filter(person=person).delete()
        RecoveryCode.objects.filter(person=person).delete()
        SingleSignOn.objects.filter(person=person).delete()
        _unlink_github(actor, person)
        for key in SigningKey.objects.filter(person=name, revoked_at=None).exclude(credential=""):
            revoke_key(actor=actor, key=key)
        revoke_tokens_of(actor=actor, person=person)
        why = f"An administrator recovered the account of {name}, who had approved it."
        void_consents(actor=actor, given=Approval.objects.filter(actor=name), why=why)
        link = new_link(actor=actor, person=person)
        trail.record(actor=actor, name="person.recovered", subject=f"person:{name}", data={"reason": reason})
        lines = [f"For three days, or until a third vouches for {name}, they count as one person.", f"Reason: {reason}"]
        notify_everyone("people", what=f"{actor} recovered the account of {name}", lines=lines)
    return link


def _unlink_github(actor: Actor, person: User) -> None:
    account = GitHubAccount.objects.filter(person=person).first()
    if account is not None:
        account.delete()
        subject = f"person:{person.get_username()}"
        trail.record(actor=actor, name="person.github_unlinked", subject=subject, data=account.told)


def vouch(*, actor: Actor, person: User) -> None:
    """Say, as a third person, that the account is in its owner's hands. Raises NotAllowed, Conflict (nothing to)."""
    require(actor, Verb.CONFIRM_KEY)
    name = person.get_username()
    held = controllers_of(name)
    if not held:
        raise Conflict(f"Nobody else has had the account of {name} in hand lately.", reason="nothing_to_vouch")
    if not is_third(actor, name):
        raise NotAllowed(
            "A third person vouches: neither the owner nor whoever let them in, nor somebody whom one of them let in.",
            hint="Somebody else asks the owner, in person or by a call, and then does it.",
            reason="four_eyes",
        )
    with transaction.atomic():
        trail.record(actor=actor, name="person.vouched_for", subject=f"person:{name}", data={"after": sorted(held)})
        notify_everyone(
            "people", what=f"{actor} vouched for {name}", lines=["They count as a person of their own again."]
        )


def is_third(actor: Actor, name: str) -> bool:
    """Whether nobody has the actor and this account in hand: two accounts of one maker do not vouch for each other."""
    return not with_controllers(actor.people) & with_controllers(frozenset({name}))
