"""Letting people in: invitations, recovery, and a third person's word for it."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User

from deployments.access.four_eyes import controllers_of
from deployments.access.policy import may
from deployments.access.verbs import Verb
from deployments.admin.confirmations import Confirmation, Once
from deployments.admin.forms import PageForm, text
from deployments.core.actors import Actor
from deployments.people.invitations import has_way_in, invite
from deployments.people.recovery import is_third, recover, vouch

_HAND_OVER = (
    "Give this link to {name} yourself, in person or in a message to them alone: whoever opens it has the account.",
    "It is shown this once, works once, and for 72 hours. A new one ends it.",
    "Until three days have passed, or a third person has vouched for {name}, the two of you count as one person.",
)


class ReasonForm(PageForm):
    """Why."""

    reason = text("Reason", help_text="What happened, and how you know that it is them. Kept in the audit trail.")


class Invite(Confirmation[User]):
    """For somebody who has no way in."""

    slug = "invite"
    label = "Make an invitation"
    icon = "mail"
    tone = "good"
    verb = Verb.MANAGE_PEOPLE

    def offered(self, obj: User, actor: Actor) -> bool:
        """Until they have come in."""
        return obj.is_active and not has_way_in(obj) and may(actor, Verb.MANAGE_PEOPLE)

    def consequences(self, obj: User) -> Sequence[str]:
        """What happens."""
        return [f"You get a link by which {obj.get_username()} chooses a password. A link made before stops working."]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> Once:
        """Make the link."""
        link = invite(actor=actor, person=obj)
        sentences = tuple(sentence.format(name=obj.get_username()) for sentence in _HAND_OVER)
        return Once(f"Invitation of {obj.get_username()}", str(link), sentences)


class Recover(Confirmation[User]):
    """For somebody who has lost every way in."""

    slug = "recover"
    label = "Recover account"
    icon = "lock_reset"
    tone = "bad"
    verb = Verb.MANAGE_PEOPLE
    form_class = ReasonForm

    def offered(self, obj: User, actor: Actor) -> bool:
        """Of others, by administrators."""
        return obj.is_active and obj.get_username() not in actor.people and may(actor, Verb.MANAGE_PEOPLE)

    def consequences(self, obj: User) -> Sequence[str]:
        """What happens."""
        name = obj.get_username()
        return [
            f"Password, passkeys, authenticator app, recovery codes, sessions and API tokens of {name} end.",
            f"Requests that wait with the consent of {name} end: whoever asked asks again.",
            f"You get a link by which {name} chooses a new password. Audit trail and channels say that you did this.",
            f"For three days, or until a third person vouches for {name}, you and {name} count as one person: neither "
            "decides about what the other asked for.",
        ]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> Once:
        """End the ways in, and make the link."""
        link = recover(actor=actor, person=obj, reason=data["reason"])
        sentences = tuple(sentence.format(name=obj.get_username()) for sentence in _HAND_OVER)
        return Once(f"{obj.get_username()} comes in again", str(link), sentences)


class Vouch(Confirmation[User]):
    """A third person has asked the owner."""

    slug = "vouch"
    label = "Vouch for"
    icon = "how_to_reg"
    tone = "good"
    verb = Verb.CONFIRM_KEY

    def offered(self, obj: User, actor: Actor) -> bool:
        """While somebody else had the account in hand lately, to third people."""
        return bool(controllers_of(obj.get_username())) and is_third(actor, obj.get_username())

    def consequences(self, obj: User) -> Sequence[str]:
        """What it says."""
        held = ", ".join(sorted(controllers_of(obj.get_username())))
        return [
            f"You have asked {obj.get_username()}, in person or by a call: the account is theirs alone.",
            f"From now on they and {held} count as two people again.",
        ]

    def perform(self, *, actor: Actor, obj: User, data: dict[str, Any]) -> str:
        """Record it."""
        vouch(actor=actor, person=obj)
        return f"{obj.get_username()} counts as a person of their own again."
