"""A person's page: what they may do, how they come in, and what acts or signs in their name."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from deployments.access.four_eyes import controllers_of
from deployments.access.policy import may, roles_of
from deployments.access.verbs import Verb
from deployments.admin.actors import actor_of
from deployments.models import ApiToken, GitHubAccount, Role, SigningKey
from deployments.people.ways_in import WaysIn, ways_in

ROLE_WORDS = {
    Role.VIEWER: "sees everything",
    Role.OPERATOR: "requests, cancels, rolls back, locks",
    Role.APPROVER: "approves what others requested",
    Role.ADMINISTRATOR: "servers, keys, configuration, people",
}
AT_THE_END = ("recover", "unlink-github")
"""Actions that nobody needs from day to day."""


def person_page(request: HttpRequest, person: User, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """What the template shows; `actions` are those that the reader is offered."""
    actor, name = actor_of(request), person.get_username()
    known, held = ways_in([person])[person.pk], roles_of(person)
    state, state_words = state_of(person, known)
    mine = actor.identity == name
    return {
        "person": person,
        "mine": mine,
        "state": state,
        "state_words": state_words,
        "roles": [(role.label, words, role in held) for role, words in ROLE_WORDS.items()],
        "applications": [application.name for application in person.applications.all()],
        "held_by": sorted(controllers_of(name)),
        "ways": known if mine or may(actor, Verb.MANAGE_PEOPLE) else None,
        "tokens": valid_tokens(person),
        "opens_tokens": mine or may(actor, Verb.MANAGE_TOKENS),
        "keys": SigningKey.objects.filter(person=name, revoked_at=None),
        "github": GitHubAccount.objects.filter(person=person).first(),
        "portal_actions": [one for one in actions if one["slug"] not in AT_THE_END],
        "last_actions": [one for one in actions if one["slug"] in AT_THE_END],
    }


def state_of(person: User, ways: WaysIn) -> tuple[str, str]:
    """Tone and words: whether they come in, or what of an invitation there is."""
    if not person.is_active:
        return "expired", "Switched off"
    if ways.any:
        return "succeeded", "Active"
    if ways.link_open:
        return "queued", "Invited"
    return "waiting", "Invitation expired" if ways.link_until else "Not invited"


def valid_tokens(person: User) -> QuerySet[ApiToken]:
    """What acts in somebody's name today."""
    lasting = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiToken.objects.filter(lasting, owner=person, revoked_at=None).order_by("name")
