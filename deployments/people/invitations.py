"""Links of one use, by which people choose a password: handed over by whoever made them, known to nobody else.

What a link ends in stands after its `#`, which browsers send to nobody, and is stored as a hash.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from deployments.access import second_factor
from deployments.access.policy import require
from deployments.access.team import is_alone
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.models import AuditEvent, Invitation
from deployments.models.encryption import SecretText
from deployments.people.passwords import put_password
from engine.errors import Conflict, NotAllowed

VALID_FOR = timedelta(hours=72)


def invite(*, actor: Actor, person: User) -> SecretText:
    """A link for somebody who has no way in yet; it ends the one before. Raises NotAllowed, Conflict."""
    require(actor, Verb.MANAGE_PEOPLE)
    if has_way_in(person):
        raise Conflict(
            f"{person.get_username()} has a way in already.",
            hint="Who has lost theirs is recovered, which ends what they have consented to.",
            reason="has_way_in",
        )
    with transaction.atomic():
        link = new_link(actor=actor, person=person)
        # a team of one may loosen its policy alone anyway; in any other, the two count as one person for a while
        name = person.get_username()
        alone = is_alone(actor, beside=name) and not _has_acted(name)
        trail.record(actor=actor, name="person.invited", subject=f"person:{name}", data={"alone": alone})
    return link


def _has_acted(name: str) -> bool:
    """Whether the trail knows somebody already: then they do not come in only now, and two are no team of one."""
    return AuditEvent.objects.filter(actor=name).exists()


def accept_invitation(*, token: str, password: str) -> User:
    """Use a link up and choose a password. Raises NotAllowed (no such link, used, ended or expired), InvalidRequest."""
    now = timezone.now()
    with transaction.atomic():
        good = Invitation.objects.filter(
            digest=_digest(token), used_at=None, ended_at=None, expires_at__gt=now, person__is_active=True
        )
        invitation = good.select_related("person").first()
        if invitation is None or not _use_up(invitation, password, now):
            raise NotAllowed(
                "This link does not work: it was used, a newer one was made, or its time is over.",
                hint="Ask whoever sent it for a new one.",
                reason="invitation_over",
            )
        person = invitation.person
        person.save(update_fields=["password"])
        name = person.get_username()
        trail.record(
            actor=Actor("user", name, person=name), name="person.invitation_accepted", subject=f"person:{name}"
        )
    return person


def _use_up(invitation: Invitation, password: str, now: datetime) -> bool:
    """Set the password; of two at once one wins, asked of this table alone: PostgreSQL looks again at no other."""
    put_password(invitation.person, password)
    mine = Invitation.objects.filter(pk=invitation.pk, used_at=None, ended_at=None)
    return mine.update(used_at=now) == 1


def has_way_in(person: User) -> bool:
    """Whether somebody can sign in already."""
    return person.has_usable_password() or second_factor.is_needed(person)


def new_link(*, actor: Actor, person: User) -> SecretText:
    """A new link instead of those there are, in its caller's transaction. Raises Conflict (switched off)."""
    if not person.is_active:
        raise Conflict(f"{person.get_username()} is switched off.", hint="Switch the account on first.")
    end_invitations(person)
    token = secrets.token_urlsafe(32)
    Invitation.objects.create(
        person=person, digest=_digest(token), made_by=str(actor), expires_at=timezone.now() + VALID_FOR
    )
    return SecretText(f"{settings.PORTAL_URL}/invitation/#{token}")


def end_invitations(person: User) -> None:
    """No link made before lets this person in."""
    Invitation.objects.filter(person=person, used_at=None, ended_at=None).update(ended_at=timezone.now())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
