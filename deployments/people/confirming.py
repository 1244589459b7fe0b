"""Who confirms what somebody says is theirs: a second person, who does not profit if it is not."""

from deployments.access.four_eyes import with_controllers
from deployments.core.actors import Actor, identity_in
from deployments.models import AuditEvent
from engine.errors import NotAllowed

_PASSWORDS = ("person.added", "person.password_set", "person.password_changed", "person.invitation_accepted")


def refuse_who_profits(actor: Actor, *, person: str, what: str, added_by: str = "") -> None:
    """Raise NotAllowed for the person themselves, whoever has their account in hand, and whoever knows its password.

    `what` they say is theirs, as a noun: key, GitHub account.
    """
    if actor.people & {person, identity_in(added_by)}:
        raise NotAllowed(
            f"Nobody confirms their own {what}.",
            hint="A second person does, once you have told them.",
            reason="four_eyes",
        )
    if both := with_controllers(actor.people) & with_controllers(frozenset({person})):
        raise NotAllowed(
            f"{', '.join(sorted(both))} lately let in you or {person}, and could be both of you.",
            hint="Let somebody else confirm it, or vouch for whoever was let in first (People).",
            reason="four_eyes",
        )
    passwords = AuditEvent.objects.filter(subject=f"person:{person}", name__in=_PASSWORDS)
    last = passwords.order_by("-sequence").first()
    if last is not None and identity_in(last.actor) in actor.people:
        raise NotAllowed(
            f"You made the account of {person}, who has chosen no password yet: this {what} could be yours.",
            hint=f"Let somebody else confirm it, or {person} choose a password of their own first.",
            reason="four_eyes",
        )
