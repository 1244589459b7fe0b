"""Accounts, roles, tokens and sign-ins."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from deployments.access.policy import may, roles_of, token_actor, user_actor
from deployments.access.sign_ins import UNKNOWN, client_address
from deployments.access.tokens import authenticate, issue_token, revoke_token
from deployments.access.verbs import Verb
from deployments.core.actors import shell_actor, system_actor
from deployments.models import ApiToken, AuditEvent, Role, Scope
from deployments.people.accounts import add_person, change_own_password, change_person, clear_lock_out
from deployments.people.recovery import recover
from engine.errors import Conflict, InvalidRequest, NotAllowed
from tests.deployments.world import World

GOOD = "correct horse battery"


def _add(world: World, who: str = "administrator", **more: Any) -> User:
    wanted: dict[str, Any] = {"username": "newcomer", "roles": [Role.OPERATOR], **more}
    return add_person(actor=world.people[who], **wanted)


def test_a_person_gets_roles_and_the_trail_says_who_gave_them(world: World) -> None:
    person = _add(world, email="new@example.org")
    assert roles_of(person) == {Role.OPERATOR}
    assert person.is_staff
    event = AuditEvent.objects.get(name="person.added")
    assert (event.actor, event.subject, event.data["roles"]) == ("administrator", "person:newcomer", ["operator"])


@pytest.mark.parametrize("name", ["", "operator", "shell:root", "a/token:x", "x" * 151])
def test_names_that_would_blur_the_record_are_refused(world: World, name: str) -> None:
    with pytest.raises(InvalidRequest):
        _add(world, username=name)


def test_changes_are_told_field_by_field_and_end_what_they_should(world: World) -> None:
    person = world.user("operator")
    client = world.client("operator")
    token, text = issue_token(actor=user_actor(person), name="mine", scopes=[Scope.DEPLOY], owner=person)
    change_person(actor=world.people["administrator"], person=person, changes={"is_active": False}, roles=[Role.VIEWER])
    event = AuditEvent.objects.get(name="person.changed")
    assert event.data["changes"] == {"is_active": [True, False], "roles": [["operator"], ["viewer"]]}
    assert client.get(reverse("admin:index")).status_code == 302
    assert authenticate(str(text)) is None
    assert roles_of(User.objects.get(pk=person.pk)) == frozenset()
    assert token_actor(ApiToken.objects.get(pk=token.pk)).roles == frozenset()


def test_somebody_remains_administrator(world: World) -> None:
    for name in ("requester", "colleague", "administrator"):
        change_person(actor=world.people["superuser"], person=world.user(name), changes={}, roles=[])
    User.objects.filter(username="superuser").update(is_superuser=False)
    world.user("administrator").groups.set(list(_groups("administrator")))
    with pytest.raises(Conflict) as refused:
        change_person(
            actor=user_actor(world.user("administrator")), person=world.user("administrator"), changes={}, roles=[]
        )
    assert refused.value.reason == "last_administrator"
    assert roles_of(world.user("administrator")) == {Role.ADMINISTRATOR}


def _groups(*names: str) -> Any:
    from django.contrib.auth.models import Group

    return Group.objects.filter(name__in=names)


def test_ones_own_password_needs_the_old_one(world: World) -> None:
    person = world.user("operator")
    with pytest.raises(NotAllowed):
        change_own_password(actor=world.people["operator"], person=person, old="wrong", password=GOOD)
    with pytest.raises(NotAllowed):
        change_own_password(
            actor=world.people["administrator"], person=person, old="password of operator", password=GOOD
        )
    change_own_password(actor=world.people["operator"], person=person, old="password of operator", password=GOOD)
    assert User.objects.get(pk=person.pk).check_password(GOOD)


def test_the_page_for_ones_own_password_keeps_the_session(world: World) -> None:
    client = world.client("viewer")
    sent = {"old": "password of viewer", "password": GOOD, "again": GOOD}
    assert client.post(reverse("admin:password_change"), {**sent, "old": "no"}).status_code == 403
    assert client.post(reverse("admin:password_change"), {**sent, "again": "other"}).status_code == 422
    assert client.post(reverse("admin:password_change"), sent).status_code == 302
    assert client.get(reverse("admin:index")).status_code == 200
    assert AuditEvent.objects.filter(name="person.password_changed", actor="viewer").count() == 1


# tokens


def test_a_token_is_stored_as_a_hash_and_shown_once(world: World) -> None:
    client = world.client("operator")
    sent = {"name": "ci", "scopes": ["deploy"], "days": 30, "environment": ""}
    answer = client.post(reverse("admin:deployments_apitoken_add"), sent)
    token = ApiToken.objects.get(name="ci")
    text = answer.context["text"]
    assert "no-store" in answer["Cache-Control"]
    assert text in answer.content.decode()
    assert authenticate(text) == token
    assert text not in str(list(ApiToken.objects.values())) + str(list(AuditEvent.objects.values()))
    shown = client.get(reverse("admin:deployments_apitoken_change", args=[token.pk])).content.decode()
    assert text not in shown
    assert token.prefix in shown


def test_an_administrator_makes_no_token_that_approves_for_somebody_else(world: World) -> None:
    with pytest.raises(NotAllowed) as refused:
        issue_token(actor=world.people["administrator"], name="x", scopes=[Scope.APPROVE], owner=world.user("approver"))
    assert refused.value.reason == "four_eyes"
    with pytest.raises(NotAllowed):
        issue_token(actor=shell_actor("root"), name="x", scopes=[Scope.APPROVE], owner=world.user("approver"))
    issue_token(actor=world.people["approver"], name="x", scopes=[Scope.APPROVE], owner=world.user("approver"))


def test_a_token_can_do_no_more_than_its_owner_and_its_scopes(world: World) -> None:
    token, _ = issue_token(
        actor=world.people["operator"], name="x", scopes=[Scope.READ, Scope.RELEASE], owner=world.user("operator")
    )
    actor = token_actor(token)
    assert may(actor, Verb.VIEW)
    assert not may(actor, Verb.REQUEST), "no scope"
    assert not may(actor, Verb.SET_SECRET), "no role"
    assert not may(actor, Verb.OWN_TOKEN), "a token makes no tokens"


def test_a_token_for_one_environment_stays_there(world: World) -> None:
    token, _ = issue_token(
        actor=world.people["operator"],
        name="x",
        scopes=[Scope.DEPLOY],
        owner=world.user("operator"),
        environment=world.test,
    )
    actor = token_actor(token)
    assert may(actor, Verb.REQUEST, world.test)
    assert not may(actor, Verb.REQUEST, world.production)


def test_tokens_expire_are_revoked_and_show_their_last_use(world: World) -> None:
    token, text = issue_token(
        actor=world.people["operator"], name="x", scopes=[Scope.READ], owner=world.user("operator"), days=1
    )
    assert token.last_used_at is None
    used = authenticate(str(text))
    assert used is not None
    assert ApiToken.objects.get(pk=token.pk).last_used_at is not None
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert authenticate(str(text)) is None
    ApiToken.objects.filter(pk=token.pk).update(expires_at=None)
    revoke_token(actor=world.people["operator"], token=token)
    revoke_token(actor=world.people["operator"], token=token)
    assert authenticate(str(text)) is None
    assert AuditEvent.objects.filter(name="token.revoked").count() == 1


@pytest.mark.parametrize("wrong", [{"days": 0}, {"days": 366}, {"name": " "}, {"name": "x" * 101}, {"scopes": []}])
def test_impossible_tokens_are_refused(world: World, wrong: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"name": "x", "scopes": [Scope.READ], "days": 1, **wrong}
    with pytest.raises(InvalidRequest):
        issue_token(actor=world.people["operator"], owner=world.user("operator"), **asked)


def test_everyone_sees_their_own_tokens_and_an_administrator_all(world: World) -> None:
    for who in ("operator", "viewer"):
        issue_token(actor=world.people[who], name=f"token-of-{who}", scopes=[Scope.READ], owner=world.user(who))
    address = reverse("admin:deployments_apitoken_changelist")
    seen = world.client("operator").get(address).content.decode()
    assert "token-of-operator" in seen
    assert "token-of-viewer" not in seen
    everything = world.client("administrator").get(address).content.decode()
    assert "token-of-operator" in everything
    assert "token-of-viewer" in everything


# sign-in


def _sign_in(client: Client, name: str, password: str) -> Any:
    return client.post(reverse("admin:login"), {"username": name, "password": password, "next": "/admin/"})


def test_sign_ins_and_outs_are_events(world: World) -> None:
    client = Client()
    assert _sign_in(client, "operator", "password of operator").status_code == 302
    client.post(reverse("admin:logout"))
    _sign_in(client, "operator", "wrong")
    names = list(AuditEvent.objects.filter(subject="person:operator").values_list("name", "actor"))
    assert names == [
        ("person.sign_in_failed", "system:sign-in"),
        ("person.signed_out", "operator"),
        ("person.signed_in", "operator"),
    ]


def test_a_password_typed_as_a_name_is_not_recorded(world: World) -> None:
    _sign_in(Client(), "hunter2-in-the-wrong-field", "x")
    assert AuditEvent.objects.get(name="person.sign_in_failed").subject == f"person:{UNKNOWN}"
    assert "hunter2" not in str(list(AuditEvent.objects.values()))


def test_five_failures_lock_out_once_recorded_until_somebody_lets_them_in(world: World) -> None:
    client = Client()
    for _ in range(8):
        answer = _sign_in(client, "operator", "wrong")
    assert answer.status_code == 429
    assert "Too many failed sign-ins" in answer.content.decode()
    assert _sign_in(client, "operator", "password of operator").status_code == 429
    assert AuditEvent.objects.filter(name="person.sign_in_failed").count() <= 5
    assert AuditEvent.objects.filter(name="person.locked_out").count() == 1
    assert _sign_in(Client(REMOTE_ADDR="192.0.2.7"), "operator", "password of operator").status_code == 302
    clear_lock_out(actor=world.people["administrator"], username="operator")
    assert _sign_in(client, "operator", "password of operator").status_code == 302


def test_a_person_without_a_role_stays_outside(world: World) -> None:
    client = world.client("none")
    assert client.get(reverse("admin:index")).status_code == 302
    assert client.get(reverse("admin:deployments_deployment_changelist")).status_code == 302


@pytest.mark.parametrize(
    ("direct", "forwarded", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("", "203.0.113.1, 198.51.100.9", "198.51.100.9"),
    ],
)
def test_only_a_proxy_on_this_machine_is_believed(direct: str, forwarded: str, address: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=direct, headers=headers)
    assert client_address(request) == address


def test_system_actors_manage_no_people(world: World) -> None:
    for actor in (system_actor("x"), shell_actor("root")):
        with pytest.raises(NotAllowed):
            add_person(actor=actor, username="y", roles=[])


@pytest.mark.parametrize("how", ["recovered", "switched off"])
def test_an_administrator_who_takes_somebodys_account_in_hand_ends_their_tokens(how: str, world: World) -> None:
    person, admin = world.user("operator"), world.people["administrator"]
    _, text = issue_token(actor=world.people["operator"], name="ci", scopes=[Scope.DEPLOY], owner=person)
    _, others = issue_token(actor=world.people["viewer"], name="mine", scopes=[Scope.READ], owner=world.user("viewer"))
    client = world.client("operator")
    if how == "recovered":
        recover(actor=admin, person=person, reason="lost phone")
    else:
        change_person(actor=admin, person=person, changes={"is_active": False}, roles=[Role.OPERATOR])
        change_person(actor=admin, person=world.user("operator"), changes={"is_active": True}, roles=[Role.OPERATOR])
    assert authenticate(str(text)) is None, "also after they were switched on again"
    assert authenticate(str(others)) is not None
    assert AuditEvent.objects.get(name="token.revoked").actor == "administrator"
    assert client.get(reverse("admin:index")).status_code == 302, "and their sessions"
