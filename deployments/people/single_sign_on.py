"""Accounts at the issuer: linked by their owner, who is signed in here; nobody is found by a name or a mail address."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from deployments.access.own_sessions import refuse_others
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.models import SingleSignOn
from engine.errors import Conflict


@dataclass(frozen=True)
class Subject:
    """Who somebody is to an issuer; `shown` is for people's eyes alone."""

    issuer: str
    subject: str
    shown: str = ""


def link(*, actor: Actor, person: User, subject: Subject) -> SingleSignOn:
    """Let this account at the issuer sign its owner in. Raises NotAllowed, Conflict (linked already)."""
    _own(actor, person)
    with transaction.atomic():
        try:
            with transaction.atomic():
                made = SingleSignOn.objects.create(
                    person=person, issuer=subject.issuer, subject=subject.subject, shown=subject.shown[:255]
                )
        except IntegrityError as error:
            raise Conflict(
                "This account, or yours, is linked already.",
                hint="Unlink the other first.",
                reason="linked_already",
            ) from error
        _record(actor, person, "single_sign_on_linked", subject)
    return made


def unlink(*, actor: Actor, person: User) -> None:
    """Let it sign nobody in any more. Raises NotAllowed, Conflict (none is linked)."""
    _own(actor, person)
    with transaction.atomic():
        linked = SingleSignOn.objects.filter(person=person).first()
        if linked is None:
            raise Conflict("No account is linked for single sign-on.", reason="not_linked")
        linked.delete()
        _record(actor, person, "single_sign_on_unlinked", Subject(linked.issuer, linked.subject))


def _own(actor: Actor, person: User) -> None:
    require(actor, Verb.OWN_KEY)
    refuse_others(actor, person, what="Single sign-on")


def _record(actor: Actor, person: User, event: str, subject: Subject) -> None:
    data = {"issuer": subject.issuer, "subject": subject.subject}
    trail.record(actor=actor, name=f"person.{event}", subject=f"person:{person.get_username()}", data=data)
