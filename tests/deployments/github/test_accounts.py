"""An account on GitHub is somebody's once a second person has confirmed it; until then it counts for nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.access.policy import token_actor, user_actor
from deployments.access.tokens import authenticate
from deployments.github.accounts import confirm_account, link_account, unlink_account
from deployments.models import AuditEvent, Deployment, GitHubAccount, Role, WorkflowBinding
from deployments.people.accounts import add_person, change_person
from deployments.people.recovery import recover
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.github.issuer import Issuer
from tests.deployments.github.test_who_answers import ask
from tests.deployments.world import World
from tests.fixtures.records import hand_token

pytestmark = pytest.mark.django_db
Bind = Callable[..., WorkflowBinding]
Swap = Callable[..., Any]
BOB = 1001
"""The number of the account that pushes."""


def link(world: World, who: str, account_id: int = BOB) -> GitHubAccount:
    """Without anybody's confirmation."""
    return link_account(actor=world.people[who], person=world.user(who), login="bob-gh", account_id=account_id)


def confirm(world: World, by: str, who: str, account_id: int = BOB) -> GitHubAccount:
    return confirm_account(actor=world.people[by], person=world.user(who), account_id=account_id)


def test_who_links_a_colleagues_account_does_not_ask_for_what_that_one_pushes(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    """Else Bob would approve what he pushed himself: on the record it was the operator who asked."""
    bind()
    link(world, "operator")
    refused = ask(world, swap(issuer.identity()))
    assert refused.status_code == 403
    assert "Nobody here is known to have started the run" in refused.json()["detail"]
    assert not Deployment.objects.exists()
    asked = ask(world, swap(issuer.identity()), "test")
    assert asked.json()["requested_by"] == "token:github:alice-gh:acme/bot", "nobody's"
    confirm(world, "approver", "operator")
    assert ask(world, swap(issuer.identity())).json()["requested_by"] == "operator/token:github:alice-gh:acme/bot"


def test_a_second_person_confirms_and_the_record_says_who(world: World) -> None:
    link(world, "operator")
    account = confirm(world, "approver", "operator")
    assert (account.confirmed_by, account.counts) == ("approver", True)
    event = AuditEvent.objects.get(name="person.github_confirmed")
    assert (event.actor, event.subject) == ("approver", "person:operator")
    assert event.data == {"login": "bob-gh", "account_id": BOB}
    with pytest.raises(Conflict):
        confirm(world, "administrator", "operator")


@pytest.mark.parametrize("who", ["none", "viewer", "operator", "colleague-token"])
def test_who_may_confirm_no_keys_confirms_no_accounts(who: str, world: World) -> None:
    link(world, "requester")
    actor = world.people.get(who)
    if actor is None:  # what needs a person is done by none of their tokens
        token = authenticate(hand_token(world.user("administrator"), "hers"))
        assert token is not None
        actor = token_actor(token)
    with pytest.raises(NotAllowed):
        confirm_account(actor=actor, person=world.user("requester"), account_id=BOB)
    assert GitHubAccount.objects.get().confirmed_at is None


def test_nobody_confirms_their_own(world: World) -> None:
    link(world, "requester")
    with pytest.raises(NotAllowed) as refused:
        confirm(world, "requester", "requester")
    assert refused.value.reason == "four_eyes"


def test_nor_that_of_somebody_whom_they_let_in(world: World) -> None:
    """An administrator's second account would otherwise ask for what she pushes, and she would approve it."""
    person = add_person(actor=world.people["administrator"], username="made", roles=[Role.OPERATOR])
    link_account(actor=user_actor(person), person=person, login="hers", account_id=BOB)
    with pytest.raises(NotAllowed, match="this GitHub account could be yours"):
        confirm_account(actor=world.people["administrator"], person=person, account_id=BOB)
    recover(actor=world.people["superuser"], person=world.user("operator"), reason="lost phone")
    link(world, "operator", 7)
    with pytest.raises(NotAllowed, match="superuser lately let in"):
        confirm(world, "superuser", "operator", 7)
    confirm(world, "approver", "operator", 7)


def test_another_number_than_the_one_that_was_read_out_is_refused(world: World) -> None:
    link(world, "operator")
    with pytest.raises(InvalidRequest) as refused:
        confirm(world, "approver", "operator", 1002)
    assert (refused.value.reason, str(BOB) in refused.value.said) == ("account_differs", False)
    assert GitHubAccount.objects.get().confirmed_at is None


def test_what_is_linked_anew_waits_anew(world: World) -> None:
    """Also the same number: it may have been somebody else's who used the account meanwhile."""
    world.link_github("operator")
    link(world, "operator")
    assert not GitHubAccount.objects.get().counts
    unlink_account(actor=world.people["operator"], person=world.user("operator"))
    with pytest.raises(Conflict):
        confirm(world, "approver", "operator")


def test_somebody_switched_off_gets_nothing_whether_confirmed_or_not(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "operator")
    person = world.user("operator")
    change_person(actor=world.people["administrator"], person=person, changes={"is_active": False}, roles=[])
    assert swap(issuer.identity()).status_code == 403
    assert GitHubAccount.objects.get().counts


def test_before_it_is_confirmed_no_record_has_its_number(world: World) -> None:
    link(world, "operator")
    unlink_account(actor=world.people["operator"], person=world.user("operator"))
    link(world, "operator")
    assert str(BOB) not in json.dumps([event.data for event in AuditEvent.objects.all()])


def test_a_false_claim_keeps_nobody_out_and_ends_when_the_right_one_is_confirmed(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "requester")
    link(world, "operator")
    assert ask(world, swap(issuer.identity())).status_code == 403, "nobody's until one is confirmed"
    confirm(world, "approver", "operator")
    assert ask(world, swap(issuer.identity())).json()["requested_by"] == "operator/token:github:alice-gh:acme/bot"
    assert [row.person.get_username() for row in GitHubAccount.objects.all()] == ["operator"]
    ended = AuditEvent.objects.get(name="person.github_unlinked")
    assert (ended.subject, ended.actor) == ("person:requester", "approver")
    with pytest.raises(Conflict, match="confirmed as somebody else's"):
        link(world, "requester")


def test_two_confirmed_owners_cannot_be(world: World) -> None:
    world.link_github("operator")
    with pytest.raises(IntegrityError), transaction.atomic():
        GitHubAccount.objects.create(
            person=world.user("requester"), login="x", account_id=BOB, confirmed_at=timezone.now()
        )
    waits = GitHubAccount.objects.create(person=world.user("requester"), login="x", account_id=BOB)
    assert GitHubAccount.of(BOB) == GitHubAccount.objects.get(person=world.user("operator"))
    with pytest.raises(Conflict):
        confirm(world, "approver", "requester")
    waits.refresh_from_db()
    assert waits.confirmed_at is None


def page_of(person: User, action: str = "change") -> str:
    return reverse(f"admin:auth_user_{action}", args=[person.pk])


def test_the_page_of_a_person_confirms_and_says_what_counts(world: World) -> None:
    link(world, "operator")
    person, client = world.user("operator"), world.client("approver")
    own = world.client("operator")
    assert "counts as yours once an approver or an administrator has confirmed it" in shown(
        own, reverse("admin:account")
    )
    assert page_of(person, "confirm_github") not in shown(own, page_of(person)), "not offered to its person"
    said = shown(client, page_of(person))
    assert "bob-gh: not confirmed, so it counts for nothing" in said
    assert str(BOB) not in said, "nor in the events beside it"
    assert str(BOB) in shown(own, reverse("admin:account")), "its person reads it out"
    assert page_of(person, "confirm_github") in said
    form = shown(client, page_of(person, "confirm_github"))
    assert str(BOB) not in form, "it is told by its person, not by the portal"
    wrong = client.post(page_of(person, "confirm_github"), {"account_id": "5"})
    assert wrong.status_code == 422
    assert "another number than 5" in wrong.content.decode()
    assert 'value="5"' in wrong.content.decode()
    assert client.post(page_of(person, "confirm_github"), {"account_id": str(BOB)}).status_code == 302
    said = shown(client, page_of(person))
    assert f"bob-gh, number {BOB}: confirmed by approver" in said
    assert page_of(person, "confirm_github") not in said
    assert "confirmed by approver" in shown(own, reverse("admin:account"))


def shown(client: Client, address: str) -> str:
    return client.get(address).content.decode()
