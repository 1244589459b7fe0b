"""Single sign-on against a provider with real signatures: who is linked gets in, and nothing else proves anybody."""

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse

from deployments.access import issuer
from deployments.models import AuditEvent, SingleSignOn
from deployments.people.accounts import change_person
from deployments.people.recovery import recover
from tests.deployments.access.provider import CLIENT, SECRET, Provider, providing
from tests.deployments.access.test_sign_in import app_of, by_password, inside, second
from tests.deployments.world import World


@pytest.fixture
def provider(settings: Any, state_dir: Any) -> Iterator[Provider]:
    with providing() as running:
        settings.PORTAL_URL = "http://testserver"
        settings.OIDC_ISSUER = running.url
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT, SECRET
        yield running
    issuer._made.cache_clear()


def comes(client: Client, provider: Provider, query: str = "") -> Any:
    """Away and back."""
    away = client.get(reverse("admin:sign_on") + query)
    assert away.status_code == 302, away.content.decode()
    return client.get(provider.authorise(away["Location"]))


def linked(world: World, provider: Provider, who: str = "viewer") -> None:
    client = Client()
    by_password(client, who)
    asked = comes(client, provider, "?link")
    assert "Carla there" in asked.content.decode()
    assert not SingleSignOn.objects.exists(), "asked first"
    assert client.post(reverse("admin:sign_on_return")).status_code == 302
    assert SingleSignOn.objects.get().subject == provider.subject


def test_who_has_linked_their_account_gets_in(world: World, provider: Provider) -> None:
    linked(world, provider)
    client = Client()
    assert "Single sign-on" in client.get(reverse("admin:login")).content.decode()
    answer = comes(client, provider, "?next=/admin/account/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/account/")
    assert inside(client)
    assert AuditEvent.objects.filter(name="person.signed_in").latest("sequence").data["by"] == "single sign-on"
    assert [event.name for event in AuditEvent.objects.filter(name__startswith="person.single")] == [
        "person.single_sign_on_linked"
    ]


def test_nobody_else_does_whatever_the_provider_calls_them(world: World, provider: Provider) -> None:
    provider.changes = {"preferred_username": "viewer", "email": "viewer@example.org", "email_verified": True}
    client = Client()
    answer = comes(client, provider)
    assert (answer.status_code, inside(client)) == (403, False)
    assert "linked" in answer.content.decode()


@pytest.mark.parametrize(
    "wrong", ["key", "none", "HS256", "audience", "issuer", "nonce", "no nonce", "expired", "no subject", "no token"]
)
def test_what_proves_nobody_lets_nobody_in(world: World, provider: Provider, wrong: str) -> None:
    linked(world, provider)
    changes: dict[str, dict[str, Any]] = {
        "audience": {"aud": "somebody else"},
        "issuer": {"iss": "https://elsewhere.example"},
        "nonce": {"nonce": "another"},
        "no nonce": {"nonce": None},
        "expired": {"exp": 1},
        "no subject": {"sub": None},
    }
    provider.changes = changes.get(wrong, {})
    if wrong == "key":
        provider.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if wrong in ("none", "HS256"):
        provider.algorithm = wrong
    if wrong == "no token":
        provider.token = lambda *_: (200, {"access_token": "a", "token_type": "Bearer"})  # type: ignore[method-assign]  # one of its answers
    client = Client()
    answer = comes(client, provider)
    assert (answer.status_code, inside(client)) == (502, False)


def test_an_answer_is_for_the_browser_that_asked_and_for_once(world: World, provider: Provider) -> None:
    linked(world, provider)
    here, there = Client(), Client()
    answer = provider.authorise(here.get(reverse("admin:sign_on"))["Location"])
    assert there.get(answer).status_code == 502
    assert here.get(answer).status_code == 302
    assert here.get(answer).status_code == 502
    assert not inside(there)


def test_a_second_factor_is_asked_for_all_the_same(world: World, provider: Provider) -> None:
    linked(world, provider)
    app, client = app_of(world, "viewer"), Client()
    assert comes(client, provider)["Location"] == reverse("admin:second_step")
    assert not inside(client)
    assert second(client, code=app.now()).status_code == 302
    assert inside(client)


def test_switched_off_and_recovered_people_do_not_come_in(world: World, provider: Provider) -> None:
    linked(world, provider)
    person, admin = world.user("viewer"), world.people["administrator"]
    change_person(actor=admin, person=person, changes={"is_active": False}, roles=[])
    assert comes(Client(), provider).status_code == 403
    change_person(actor=admin, person=person, changes={"is_active": True}, roles=[])
    recover(actor=admin, person=world.user("viewer"), reason="lost phone")
    assert not SingleSignOn.objects.exists()


def test_linking_takes_a_button_of_ours_and_a_fresh_session(world: World, provider: Provider) -> None:
    linked(world, provider)
    client = Client()
    by_password(client, "operator")
    comes(client, provider, "?link")
    assert client.post(reverse("admin:sign_on_return")).status_code == 409, "linked to another person"
    assert client.post(reverse("admin:sign_on_return")).status_code == 403, "nothing was asked"
    session = client.session
    session["_signed_in"] = {**session["_signed_in"], "since": "2026-01-01T00:00:00+00:00"}
    session.save()
    assert client.get(reverse("admin:sign_on") + "?link").status_code == 403


def test_a_provider_that_is_away_ends_in_a_sentence(world: World, provider: Provider, settings: Any) -> None:
    for address in ("http://127.0.0.1:9", "http://elsewhere.example"):
        settings.OIDC_ISSUER = address
        answer = Client().get(reverse("admin:sign_on"))
        assert answer.status_code == 502
        assert "ingle sign-on" in answer.content.decode()
    settings.OIDC_ISSUER = ""
    assert Client().get(reverse("admin:sign_on"))["Location"] == reverse("admin:login")
    assert "Single sign-on" not in Client().get(reverse("admin:login")).content.decode()
