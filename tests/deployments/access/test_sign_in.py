"""Ways in: password and second factor, or a passkey alone; no door takes less."""

import re
import time
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from deployments import tasks
from deployments.access import second_factor
from deployments.access.own_sessions import sessions_of
from deployments.access.sign_ins import sign_in_at_terminal
from deployments.models import ApiToken, AuditEvent, AuthenticatorApp, GitHubAccount, RecoveryCode, SigningKey
from deployments.people.second_factors import begin_app, confirm_app, new_codes
from deployments.people.signing_keys import revoke_key
from engine.errors import Conflict, NotAllowed
from engine.passkeys import challenge_of
from tests.deployments.access.authenticator import SoftPasskey
from tests.deployments.world import World

ORIGIN = "http://testserver"


@pytest.fixture(autouse=True)
def _own_address(settings: Any, state_dir: Any) -> None:
    settings.PORTAL_URL = ORIGIN


def app_of(world: World, who: str = "operator") -> pyotp.TOTP:
    """An authenticator app that is set up; the clock has moved on since."""
    person, actor = world.user(who), world.people[who]
    secret = re.findall(r"secret=(\w+)", begin_app(actor=actor, person=person))[0]
    confirm_app(actor=actor, person=person, code=pyotp.TOTP(secret).now())
    AuthenticatorApp.objects.update(last_step=0)
    return pyotp.TOTP(secret)


def by_password(client: Client, who: str = "operator", password: str = "") -> Any:
    return client.post(
        reverse("admin:login"), {"username": who, "password": password or f"password of {who}", "next": "/admin/"}
    )


def inside(client: Client) -> bool:
    return client.get(reverse("admin:index")).status_code == 200


def second(client: Client, **sent: str) -> Any:
    return client.post(reverse("admin:second_step"), sent)


def test_a_password_alone_lets_nobody_in_who_has_an_app(world: World) -> None:
    app, client = app_of(world), Client()
    answer = by_password(client)
    assert (answer.status_code, answer["Location"]) == (302, reverse("admin:second_step"))
    assert not inside(client)
    assert second(client, code="000000").status_code == 403
    assert not inside(client)
    assert second(client, code=app.now()).status_code == 302
    assert inside(client)
    assert AuditEvent.objects.filter(name="person.signed_in").latest("sequence").data["by"] == "password and code"
    assert sessions_of(world.user("operator"), None)[0].by == "password and code"


def test_no_other_door_takes_a_password_alone(world: World) -> None:
    app = app_of(world)
    sent = {"username": "operator", "password": "password of operator"}
    assert authenticate(RequestFactory().post("/"), **sent) is None
    with pytest.raises(NotAllowed):
        sign_in_at_terminal(**sent, login="root", ask_code=lambda: "")
    assert sign_in_at_terminal(**sent, login="root", ask_code=app.now) == world.user("operator")
    for path in ("/deployments/", "/auth/staff", "/api/v1/deployments", "/admin/"):
        client = Client()
        by_password(client)
        assert client.get(path).status_code in (302, 401), path


def test_a_code_is_taken_once_from_either_of_two_browsers(world: World) -> None:
    app, code = app_of(world), ""
    first, other = Client(), Client()
    by_password(first), by_password(other)
    code = app.now()
    assert [second(first, code=code).status_code, second(other, code=code).status_code] == [302, 403]
    assert second_factor.take_code(world.user("operator"), app.at(int(time.time()) - 300)) == "", "of five minutes ago"


def test_recovery_codes_are_hashes_and_work_once(world: World) -> None:
    app_of(world)
    codes = new_codes(actor=world.people["operator"], person=world.user("operator"))
    assert not set(codes) & set(RecoveryCode.objects.values_list("digest", flat=True))
    for expected in (302, 403):
        client = Client()
        by_password(client)
        assert second(client, code=codes[0].upper()).status_code == expected
    assert second_factor.codes_left(world.user("operator")) == 9
    new_codes(actor=world.people["operator"], person=world.user("operator"))
    assert second_factor.take_code(world.user("operator"), codes[1]) == ""


def test_guessing_codes_locks_out_like_guessing_passwords(world: World) -> None:
    app, client = app_of(world), Client()
    by_password(client)
    told = [second(client, code=f"{number:06}").status_code for number in range(6)]
    assert told[-1] == 429
    by_password(client)
    assert second(client, code=app.now()).status_code in (302, 429)
    assert not inside(client)
    kept = str(list(AccessAttempt.objects.values()))
    assert "000001" not in kept


def test_a_right_password_forgets_no_failure_before_the_second_step(world: World) -> None:
    app_of(world)
    for number in range(6):
        client = Client()
        answer = by_password(client)
        if answer.status_code == 302:
            answer = second(client, code=f"{number:06}")
    assert answer.status_code == 429


def test_the_second_step_is_for_five_minutes_and_this_password(world: World) -> None:
    app, client = app_of(world), Client()
    assert second(client, code=app.now())["Location"] == reverse("admin:login"), "without a first step"
    by_password(client)
    person = world.user("operator")
    person.set_password("another one altogether")
    person.save()
    assert second(client, code=app.now())["Location"] == reverse("admin:login")
    by_password(client, password="another one altogether")
    session = client.session
    session["_first_step"] = {**session["_first_step"], "at": time.time() - 301}
    session.save()
    assert second(client, code=app.now())["Location"] == reverse("admin:login")
    assert not inside(client)


def test_a_passkey_alone_signs_in_once_for_each_question(world: World) -> None:
    key = SoftPasskey()
    made = key.add(world.people["viewer"])
    client = Client()
    page = client.get(reverse("admin:by_passkey"))
    answer = key.answer(page, ORIGIN)
    assert client.post(reverse("admin:by_passkey"), answer).status_code == 302
    assert inside(client)
    assert AuditEvent.objects.filter(name="person.signed_in").latest("sequence").data["by"] == "passkey"
    client.post(reverse("admin:logout"))
    assert client.post(reverse("admin:by_passkey"), answer).status_code == 403, "said again"
    assert Client().post(reverse("admin:by_passkey"), answer).status_code == 403, "in another browser"
    revoke_key(actor=world.people["viewer"], key=made)
    page = client.get(reverse("admin:by_passkey"))
    assert client.post(reverse("admin:by_passkey"), key.answer(page, ORIGIN)).status_code == 403, "revoked"


@pytest.mark.parametrize("wrong", ["origin", "key", "flags", "challenge", "empty"])
def test_what_no_passkey_of_theirs_signed_lets_nobody_in(world: World, wrong: str) -> None:
    key, other, client = SoftPasskey(), SoftPasskey(), Client()
    key.add(world.people["viewer"])
    page = client.get(reverse("admin:by_passkey"))
    answer = key.answer(page, "http://elsewhere" if wrong == "origin" else ORIGIN)
    challenge = re.findall(r'data-challenge="([\w-]+)"', page.content.decode())[0]
    if wrong == "key":
        answer["signature"] = other.sign(challenge, ORIGIN)
    if wrong == "flags":
        answer["signature"] = key.sign(challenge, ORIGIN, flags=0x01)
    if wrong == "challenge":
        answer["signature"] = key.sign(challenge_of("cytube-ops sign-in\n"), ORIGIN)
    if wrong == "empty":
        answer = {"credential": "", "signature": ""}
    assert client.post(reverse("admin:by_passkey"), answer).status_code == 403
    assert not inside(client)


def test_a_passkey_is_the_second_factor_of_its_owner_alone(world: World) -> None:
    key, other = SoftPasskey(), SoftPasskey()
    key.add(world.people["operator"])
    other.add(world.people["viewer"])
    client = Client()
    assert by_password(client)["Location"] == reverse("admin:second_step")
    page = client.get(reverse("admin:second_step"))
    assert key.credential in page.content.decode()
    assert second(client, **other.answer(page, ORIGIN)).status_code == 403
    page = client.get(reverse("admin:second_step"))
    assert second(client, **key.answer(page, ORIGIN)).status_code == 302
    assert inside(client)


def test_somebody_switched_off_gets_in_by_none_of_them(world: World) -> None:
    key, client = SoftPasskey(), Client()
    key.add(world.people["viewer"])
    User.objects.filter(username="viewer").update(is_active=False)
    page = client.get(reverse("admin:by_passkey"))
    assert client.post(reverse("admin:by_passkey"), key.answer(page, ORIGIN)).status_code == 403


def test_setting_up_an_app_shows_codes_once_and_ends_other_sessions(world: World) -> None:
    here, there = Client(), Client()
    by_password(here, "viewer"), by_password(there, "viewer")
    page = here.get(reverse("admin:authenticator_app"))
    secret = re.findall(r'id="cy-secret"[^>]*value="(\w+)"', page.content.decode())[0]
    assert "data:image/svg+xml" in page.content.decode()
    assert here.post(reverse("admin:authenticator_app"), {"code": "123456"}).status_code == 422
    shown = here.post(reverse("admin:authenticator_app"), {"code": pyotp.TOTP(secret).now()}).content.decode()
    assert len(re.findall(r"<li><code>[a-z2-7-]{19}</code>", shown)) == 10
    assert (inside(here), inside(there)) == (True, False)
    assert secret not in str(list(AuthenticatorApp.objects.extra(select={"raw": "secret"}).values("raw")))
    assert here.get(reverse("admin:authenticator_app")).status_code == 409
    account = here.get(reverse("admin:account")).content.decode()
    assert "10 left" in account
    assert here.post(reverse("admin:account"), {"remove_app": "1"}).status_code == 302
    assert not AuthenticatorApp.objects.exists()


def test_a_browser_left_open_changes_no_way_in(world: World) -> None:
    client = Client()
    by_password(client, "viewer")
    session = client.session
    session["_signed_in"] = {**session["_signed_in"], "since": "2026-01-01T00:00:00+00:00"}
    session.save()
    passkey = {"name": "x", "credential": "abc", "public_key": SoftPasskey().public_key}
    add = reverse("admin:deployments_signingkey_add") + "?passkey"
    for answer in (
        client.get(reverse("admin:authenticator_app")),
        client.post(reverse("admin:recovery_codes")),
        client.post(add, passkey),
    ):
        assert answer.status_code == 403
        assert "again=1" in answer.content.decode()
    assert client.get(reverse("admin:login") + "?again=1&next=/admin/account/").status_code == 200
    token = {"name": "x", "scopes": ["read"], "days": "30"}
    assert client.post(reverse("admin:deployments_apitoken_add"), token).status_code == 403
    linked = client.post(reverse("admin:account"), {"link": "1", "login": "theirs", "account_id": "7"})
    assert linked.status_code == 403
    assert not SigningKey.objects.exists()
    assert not ApiToken.objects.exists()
    assert not GitHubAccount.objects.exists()


def test_nobody_takes_the_name_of_anothers_passkey(world: World) -> None:
    hers, mine = SoftPasskey(), SoftPasskey()
    hers.add(world.people["viewer"])
    mine.credential = hers.credential
    with pytest.raises(Conflict):
        mine.add(world.people["operator"])
    client = Client()
    page = client.get(reverse("admin:by_passkey"))
    assert client.post(reverse("admin:by_passkey"), hers.answer(page, ORIGIN)).status_code == 302
    assert inside(client)


def test_who_only_looks_at_a_door_leaves_nothing_for_long(world: World, settings: Any) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "", ""
    for name in ("by_passkey", "sign_on"):
        Client().get(reverse(f"admin:{name}"))
    soon = timezone.now() + timedelta(minutes=11)
    assert Session.objects.count() == 2
    assert not Session.objects.filter(expire_date__gt=soon).exists()
    client = Client()
    client.get(reverse("admin:by_passkey"))
    by_password(client, "viewer")
    assert Session.objects.filter(expire_date__gt=soon).count() == 1, "who is in has a day's work"
    Session.objects.exclude(expire_date__gt=soon).update(expire_date=timezone.now() - timedelta(seconds=1))
    assert tasks.forget_sessions() == 2
    assert inside(client)


def test_nobody_sets_up_anothers(world: World) -> None:
    with pytest.raises(NotAllowed):
        begin_app(actor=world.people["administrator"], person=world.user("viewer"))
    with pytest.raises(NotAllowed):
        new_codes(actor=world.people["superuser"], person=world.user("viewer"))


def test_where_to_go_next_stays_here(world: World) -> None:
    for wanted in ("https://elsewhere.example/", "//elsewhere.example", "javascript:x"):
        client = Client()
        answer = client.post(
            reverse("admin:login"), {"username": "viewer", "password": "password of viewer", "next": wanted}
        )
        assert answer["Location"] == reverse("admin:index")
