"""People: who they are, what they may do, how they come in and what acts in their name, to read before to edit."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deployments.access.tokens import issue_token, revoke_token
from deployments.models import Application, AuthenticatorApp, Invitation, Role, Scope, SigningKey
from deployments.people.accounts import add_person
from deployments.people.invitations import invite
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

LIST = "admin:auth_user_changelist"


def page_of(world: World, who: str, about: str) -> str:
    """Somebody's page as `who` sees it, in words."""
    answer = world.client(who).get(reverse("admin:auth_user_change", args=[User.objects.get(username=about).pk]))
    assert answer.status_code == 200
    return text_of(answer.content.decode())


def row_of(world: World, who: str, about: str) -> str:
    """Somebody's row of the list as `who` sees it, in words."""
    page = world.client(who).get(reverse(LIST)).content.decode()
    rows = [text_of(row) for row in page.split("<tr")]
    return next(row for row in rows if f">{about} " in f">{row.partition('>')[2].strip()} ")


def passkey(person: str) -> SigningKey:
    """One that signs in, and that nobody has confirmed."""
    return SigningKey.objects.create(
        person=person, name="key ring", public_key="k", credential=f"of {person}", fingerprint=f"SHA256:{person}"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [("", "Password alone"), ("app", "Password and app"), ("passkey", "Passkey"), ("off", "Switched off")],
)
def test_the_list_says_how_each_comes_in_and_marks_a_password_alone(world: World, given: str, words: str) -> None:
    person = world.user("operator")
    if given == "app":
        AuthenticatorApp.objects.create(person=person, secret="s", confirmed_at=timezone.now())
    if given == "passkey":
        passkey("operator")
    User.objects.filter(pk=person.pk).update(is_active=given != "off")
    assert words in row_of(world, "administrator", "operator")
    assert ("Password alone" in row_of(world, "administrator", "operator")) == (given in {"", "off"})


def test_how_others_sign_in_is_for_those_who_look_after_them_and_for_oneself(world: World) -> None:
    page = text_of(world.client("viewer").get(reverse(LIST)).content.decode())
    assert "Active" in page
    assert "Password alone" not in page
    said = "The password alone lets them in"
    assert said in page_of(world, "administrator", "operator")
    assert said in page_of(world, "operator", "operator")
    assert said not in page_of(world, "viewer", "operator")
    assert "Recovery codes" not in page_of(world, "viewer", "operator")


def test_who_has_not_come_in_yet_is_told_by_the_state_of_their_invitation(world: World) -> None:
    admin = world.people["administrator"]
    person = add_person(actor=admin, username="newcomer", roles=[Role.VIEWER])
    assert "Not invited" in row_of(world, "viewer", "newcomer")
    invite(actor=admin, person=person)
    assert "Invited" in row_of(world, "viewer", "newcomer")
    assert "the link works until in 2 d" in page_of(world, "administrator", "newcomer")
    Invitation.objects.update(expires_at=timezone.now() - timedelta(hours=2))
    assert "Invitation expired" in row_of(world, "viewer", "newcomer")
    assert "the link ended 2 h ago" in page_of(world, "administrator", "newcomer")


def test_a_persons_page_shows_roles_where_they_hold_tokens_and_keys_and_edits_nothing(world: World) -> None:
    person, actor = world.user("operator"), world.people["operator"]
    Application.objects.get_or_create(name="dice-bot")[0].people.add(person)
    passkey("operator")
    used, _ = issue_token(actor=actor, name="laptop", scopes=[Scope.READ, Scope.DEPLOY], owner=person)
    ended, _ = issue_token(actor=actor, name="pipeline", scopes=[Scope.READ], owner=person)
    revoke_token(actor=actor, token=ended)
    page = page_of(world, "administrator", "operator")
    for said in (
        "locks Held",
        "requested not held",
        "They hold in dice-bot, and nowhere else",
        "laptop deploy, read never",
    ):
        assert said in page, said
    assert "key ring Not confirmed passkey" in page
    assert "pipeline" not in page.partition("Audit trail")[0]
    address = reverse("admin:auth_user_change", args=[person.pk])
    seen = world.client("administrator").get(address).content.decode()
    assert 'name="roles"' not in seen
    assert reverse("admin:deployments_apitoken_change", args=[used.pk]) in seen
    others = world.client("viewer").get(address).content.decode()
    assert reverse("admin:deployments_apitoken_change", args=[used.pk]) not in others


def test_editing_stands_behind_the_page_for_those_who_may(world: World) -> None:
    person = world.user("operator")
    form = reverse("admin:auth_user_settings", args=[person.pk])
    page = reverse("admin:auth_user_change", args=[person.pk])
    admin = world.client("administrator")
    assert form in admin.get(page).content.decode()
    assert form not in world.client("viewer").get(page).content.decode()
    shown = admin.get(form).content.decode()
    assert "Audit trail</h2>" not in shown
    assert "Recover account" not in shown
    sent = {"first_name": "Olga", "roles": ["viewer", "operator"], "is_active": "on"}
    answer = admin.post(form, sent)
    assert (answer.status_code, answer.headers["Location"]) == (302, page)
    person.refresh_from_db()
    assert person.first_name == "Olga"
    assert world.client("viewer").post(form, {**sent, "first_name": "Eve"}).status_code == 403
    person.refresh_from_db()
    assert person.first_name == "Olga"


def test_the_list_costs_the_same_however_many_people_there_are(world: World) -> None:
    client = world.client("administrator")

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse(LIST))
        return len(seen)

    queries()
    before = queries()
    for number in range(5):
        person = add_person(actor=world.people["administrator"], username=f"p{number}", roles=[Role.VIEWER])
        invite(actor=world.people["administrator"], person=person)
        passkey(f"p{number}")
    assert queries() == before
