"""Whose account on GitHub is whose here: each person says so for themselves, and a second one confirms it.

It decides who approves what: whoever linked a colleague's account would be who asks for what that one pushes.
"""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.tokens import revoke
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.models import ApiToken, GitHubAccount
from deployments.people.confirming import refuse_who_profits
from engine.errors import Conflict, InvalidRequest, NotAllowed


@transaction.atomic
def link_account(*, actor: Actor, person: User, login: str, account_id: int) -> GitHubAccount:
    """Say that an account on GitHub is one's own; it takes the place of an earlier one, and counts once confirmed.

    Nobody says so for others: what others push would count as asked by them. Others who say the same of it are in
    nobody's way until one is confirmed. Raises NotAllowed, InvalidRequest and Conflict (confirmed as somebody else's).
    """
    require(actor, Verb.OWN_TOKEN)
    if actor.kind != "user" or actor.identity != person.get_username():
        raise NotAllowed("An account on GitHub is linked by whoever it belongs to.", reason="four_eyes")
    User.objects.select_for_update(no_key=True).get(pk=person.pk)
    _refuse_taken(person, account_id)
    _end(actor, person)
    account = GitHubAccount(person=person, login=login, account_id=account_id)
    try:
        account.full_clean()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was linked.") from error
    account.save()
    _record(actor, account, "person.github_linked")
    return account


@transaction.atomic
def confirm_account(*, actor: Actor, person: User, account_id: int) -> GitHubAccount:
    """A second person has heard from `person` that this number is their account's.

    Raises NotAllowed (role, one's own, or whoever has their account in hand), InvalidRequest (another number), Conflict
    (none waits).
    """
    require(actor, Verb.CONFIRM_KEY)
    name = person.get_username()
    refuse_who_profits(actor, person=name, what="GitHub account")
    account = GitHubAccount.objects.select_for_update().filter(person=person, confirmed_at=None).first()
    if account is None:
        raise Conflict(f"No GitHub account of {name} waits for confirmation.", reason="not_waiting")
    if account_id != account.account_id:
        raise InvalidRequest(
            f"The GitHub account that {name} has linked has another number than {account_id}.",
            hint=f"Ask {name} to read it to you (gh api user --jq .id), and write what you hear.",
            reason="account_differs",
        )
    _refuse_taken(person, account_id)
    account.confirmed_by, account.confirmed_at = str(actor), timezone.now()
    try:
        with transaction.atomic():
            account.save(update_fields=["confirmed_by", "confirmed_at"])
    except IntegrityError as error:  # another claim was confirmed this moment
        raise _taken() from error
    _record(actor, account, "person.github_confirmed")
    for other in GitHubAccount.objects.filter(account_id=account_id).exclude(pk=account.pk).select_related("person"):
        _end(actor, other.person)
    return account


@transaction.atomic
def unlink_account(*, actor: Actor, person: User) -> None:
    """End it, and the tokens that runs of that account have; one's own, or anybody's for an administrator."""
    own = actor.kind == "user" and actor.identity == person.get_username()
    require(actor, Verb.OWN_TOKEN if own else Verb.MANAGE_PEOPLE)
    _end(actor, person)


def _refuse_taken(person: User, account_id: int) -> None:
    others = GitHubAccount.objects.filter(account_id=account_id).exclude(person=person)
    if others.exclude(confirmed_at=None).exists():
        raise _taken()


def _taken() -> Conflict:
    return Conflict(
        "This account was confirmed as somebody else's.", hint="An administrator can unlink it.", reason="account_taken"
    )


def _end(actor: Actor, person: User) -> None:
    account = GitHubAccount.objects.filter(person=person).first()
    if account is None:
        return
    account.delete()
    _record(actor, account, "person.github_unlinked")
    exchanged = ApiToken.objects.filter(owner=person, revoked_at=None).exclude(binding=None)
    for token in exchanged.select_related("owner", "environment"):
        revoke(actor, token)


def _record(actor: Actor, account: GitHubAccount, name: str) -> None:
    trail.record(actor=actor, name=name, subject=f"person:{account.person.get_username()}", data=account.told)
