"""API tokens in the control room: made in somebody's name, shown once, and a page that says what one is for."""

import re
from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from deployments.access.tokens import issue_token, revoke_token
from deployments.models import ApiToken, Scope
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


def test_a_new_token_is_its_makers_unless_something_else_was_chosen(world: World) -> None:
    client, address = world.client("administrator"), reverse("admin:deployments_apitoken_add")
    page = client.get(address).content.decode()
    first = re.search(r'<option value="([^"]*)"', page)
    assert first is not None
    assert first[1] == "person:administrator"
    server = world.servers["test"]
    for name, holder, scopes in (
        ("mine", "person:administrator", ["read"]),
        ("hers", "person:viewer", ["read"]),
        ("a bot's", f"server:{server.pk}", ["heartbeat"]),
        ("a machine's", "machine", ["metrics"]),
    ):
        sent = {"name": name, "holder": holder, "scopes": scopes, "days": 30, "environment": ""}
        assert client.post(address, sent).context["text"], name
    made = {token.name: (str(token.owner or ""), str(token.server or "")) for token in ApiToken.objects.all()}
    assert made == {
        "mine": ("administrator", ""),
        "hers": ("viewer", ""),
        "a bot's": ("", server.name),
        "a machine's": ("", ""),
    }
    forged = {"name": "forged", "holder": "person:administrator", "scopes": ["read"], "days": 30, "environment": ""}
    world.client("viewer").post(address, forged)
    assert str(ApiToken.objects.get(name="forged").owner) == "viewer", "what is not asked is not believed"


def test_a_tokens_page_says_what_it_may_how_it_stands_and_how_it_is_used(world: World) -> None:
    person = world.user("operator")
    token, text = issue_token(
        actor=world.people["operator"], name="laptop", scopes=[Scope.READ, Scope.DEPLOY], owner=person, days=90
    )
    address = reverse("admin:deployments_apitoken_change", args=[token.pk])
    page = text_of(world.client("operator").get(address).content.decode())
    for said in ("Valid", "which is you", "Request, cancel and roll back deploy", "in every environment", "curl -H"):
        assert said in page, said
    assert str(text) not in page
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() + timedelta(days=3))
    assert "Expires soon" in text_of(world.client("administrator").get(address).content.decode())
    revoke_token(actor=world.people["operator"], token=token)
    page = text_of(world.client("operator").get(address).content.decode())
    assert "Revoked just now" in page
    assert "How it is used" not in page


def test_what_is_shown_once_can_be_copied(world: World) -> None:
    sent = {"name": "x", "scopes": ["read"], "days": 30, "environment": ""}
    answer = world.client("viewer").post(reverse("admin:deployments_apitoken_add"), sent)
    page = answer.content.decode()
    assert 'data-copy="cy-token-text"' in page
    assert f'id="cy-token-text" class="cy-once" type="text" readonly value="{answer.context["text"]}"' in page
    assert "deployments/admin/copy.js" in page
