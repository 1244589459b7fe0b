"""Links of one use: who holds one chooses a password, once, and nobody can read it anywhere."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.models import AuditEvent, Invitation, NotificationChannel, NotificationDelivery, Role
from deployments.people.accounts import add_person, change_person
from deployments.people.invitations import accept_invitation, invite
from deployments.people.recovery import recover
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.world import World

GOOD = "correct horse battery"


def newcomer(world: World, roles: tuple[Role, ...] = (Role.VIEWER,)) -> User:
    return add_person(actor=world.people["administrator"], username="newcomer", roles=roles)


def token(world: World, person: User) -> str:
    return str(invite(actor=world.people["administrator"], person=person)).partition("#")[2]


def test_a_new_person_comes_in_by_the_link_that_the_page_shows_once(world: World) -> None:
    admin, stranger = world.client("administrator"), Client()
    page = admin.post(reverse("admin:auth_user_add"), {"username": "newcomer", "roles": ["viewer"]}, follow=True)
    assert "chooses a password" in page.content.decode()
    person = User.objects.get(username="newcomer")
    shown = admin.post(reverse("admin:auth_user_invite", args=[person.pk])).content.decode()
    link = re.findall(r'value="([^"]*/invitation/#[\w-]+)"', shown)[0]
    text = link.partition("#")[2]
    assert text not in admin.get(reverse("admin:auth_user_change", args=[person.pk])).content.decode()
    everything = str(list(Invitation.objects.values())) + str(list(AuditEvent.objects.values()))
    assert text not in everything + str(list(NotificationDelivery.objects.values()))
    assert stranger.get("/invitation/").status_code == 200
    sent = {"token": text, "password": GOOD, "again": GOOD}
    assert stranger.post("/invitation/", {**sent, "again": "another"}).status_code == 422
    answer = stranger.post("/invitation/", sent)
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:account"))
    assert stranger.get(reverse("admin:account")).status_code == 200
    assert Client().post("/invitation/", sent).status_code == 403, "used"
    told = AuditEvent.objects.filter(subject="person:newcomer").order_by("sequence")
    assert [(event.name, event.actor) for event in told] == [
        ("person.added", "administrator"),
        ("person.invited", "administrator"),
        ("person.invitation_accepted", "newcomer"),
        ("person.signed_in", "newcomer"),
    ]


@pytest.mark.parametrize("how", ["newer", "switched off", "expired", "guessed", "empty"])
def test_what_is_over_lets_nobody_in(world: World, how: str) -> None:
    person = newcomer(world)
    text = token(world, person)
    if how == "newer":
        token(world, person)
    if how == "switched off":
        for active in (False, True):
            change_person(
                actor=world.people["administrator"], person=person, changes={"is_active": active}, roles=[Role.VIEWER]
            )
    if how == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    given = {"guessed": "x" * 43, "empty": ""}.get(how, text)
    with pytest.raises(NotAllowed):
        accept_invitation(token=given, password=GOOD)
    assert not User.objects.get(pk=person.pk).has_usable_password()


def test_a_weak_password_uses_nothing_up(world: World) -> None:
    text = token(world, newcomer(world))
    for weak in ("x7!q", "iloveyou", "12345678901", "newcomer1"):
        with pytest.raises(InvalidRequest) as refused:
            accept_invitation(token=text, password=weak)
        assert weak not in str(refused.value)
    assert accept_invitation(token=text, password=GOOD).check_password(GOOD)


def test_administrators_choose_nobodys_password(world: World) -> None:
    person, admin = world.user("viewer"), world.people["administrator"]
    with pytest.raises(Conflict):
        invite(actor=admin, person=person)
    for actor in (world.people["approver"], world.people["viewer"]):
        with pytest.raises(NotAllowed):
            invite(
                actor=actor,
                person=newcomer(world) if actor.name == "approver" else User.objects.get(username="newcomer"),
            )
    page = world.client("administrator").get(reverse("admin:auth_user_add")).content.decode()
    assert 'type="password"' not in page
    page = world.client("administrator").get(reverse("admin:auth_user_change", args=[person.pk])).content.decode()
    assert "set-password" not in page


def test_nothing_of_it_leaves_by_the_channels(world: World) -> None:
    NotificationChannel.objects.create(name="all", url="json://localhost/x", events=["people"], enabled=True)
    link = str(recover(actor=world.people["administrator"], person=world.user("approver"), reason="lost phone"))
    said = str(list(NotificationDelivery.objects.values()))
    assert "recovered the account of approver" in said
    assert link.partition("#")[2] not in said


@pytest.mark.django_db(transaction=True)
def test_of_two_at_the_same_time_one_comes_in(transactional_db: Any, world: World) -> None:
    text, ended = token(world, newcomer(world)), []

    def use(password: str) -> None:
        try:
            accept_invitation(token=text, password=password)
            ended.append("in")
        except NotAllowed:
            ended.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=use, args=(f"{GOOD} {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    connections.close_all()
    assert sorted(ended) == ["in", *["refused"] * 3]


def test_guesses_are_held_off(world: World, state_dir: Any) -> None:
    sent = {"token": "x", "password": GOOD, "again": GOOD}
    told = [
        Client().post("/invitation/", sent, headers={"X-Forwarded-For": "192.0.2.7"}).status_code for _ in range(25)
    ]
    assert told[0] == 403
    assert told[-1] == 429


def test_the_commands_need_a_person(world: World) -> None:
    for who in ("shell", "administrator"):  # nobody at a terminal; a token
        assert world.command(who, "invite", "newcomer", "--role", "viewer")[0] != 0
        assert world.command(who, "recover", "viewer", "--reason", "x")[0] != 0
    assert not User.objects.filter(username="newcomer").exists()
