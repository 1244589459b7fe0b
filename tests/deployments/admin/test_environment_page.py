"""An environment is a page: how it stands, what may be done, its policy in words. The form is behind it."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deployments.admin.environment_page import policy_in_words
from deployments.environments.locks import lock_environment
from deployments.environments.settings import configure_environment
from deployments.models import Environment, Server
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


def page(world: World, who: str) -> str:
    answer = world.client(who).get(reverse("admin:deployments_environment_change", args=[world.production.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def settings(world: World) -> str:
    return reverse("admin:deployments_environment_settings", args=[world.production.pk])


def test_it_says_how_the_environment_stands(world: World) -> None:
    world.succeeded(world.releases[0])
    last = world.succeeded(world.releases[1])
    waiting = world.request(reason="people asked")
    configure_environment(
        actor=world.people["administrator"],
        environment=world.production,
        changes={"configuration": {"dice.json": {"sides": 12}}},
    )
    said = text_of(page(world, "approver"))
    for words in (
        f"Runs {world.releases[1]}",
        f"Last #{last.pk} Succeeded",
        f"Rollback target {world.releases[0]}",
        f"#{waiting.pk} {world.releases[1]} requested by colleague",
        "Read and decide",
        "production-1 Provisioned",
        "A deployment needs 1 approval by somebody else, within 24 hours.",
        "dice.json : sides",
        "Environment configured",
    ):
        assert words in said, words
    assert "Read and decide" not in text_of(page(world, "colleague")), "who asked does not decide"
    assert "Request deployment" not in page(world, "viewer")
    assert "<textarea" not in page(world, "administrator"), "the form is behind Settings"


def test_an_environment_without_servers_offers_to_add_one(world: World) -> None:
    Server.objects.update(state=Server.State.RETIRED)
    address = f"{reverse('admin:deployments_server_add')}?environment={world.production.pk}"
    assert address in page(world, "administrator")
    said = page(world, "viewer")
    assert "None yet: what is deployed here has nowhere to go." in said
    assert address not in said
    form = world.client("administrator").get(address).content.decode()
    assert f'<option value="{world.production.pk}" selected' in form


def test_a_lock_is_told_with_its_reason(world: World) -> None:
    lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    said = text_of(page(world, "operator"))
    assert "Locked by operator, just now : exams." in said
    assert "Request deployment" not in said
    assert "Unlock" in said


def test_the_form_is_behind_settings_and_leads_back(world: World) -> None:
    client = world.client("administrator")
    assert settings(world) in page(world, "administrator")
    assert 'name="configuration"' in client.get(settings(world)).content.decode()
    sent = {"configuration": "{", "bake_seconds": 60, "bake_action": "rollback", "order": 1, "batch": 10}
    refused = client.post(settings(world), sent)
    assert 'name="bake_seconds" value="60"' in refused.content.decode(), "what was typed is kept"
    done = client.post(settings(world), {**sent, "configuration": "{}"}, follow=True)
    assert done.redirect_chain[-1][0] == reverse("admin:deployments_environment_change", args=[world.production.pk])
    assert world.production.bake_seconds == 60
    assert 'name="configuration"' not in world.client("viewer").get(settings(world)).content.decode()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"approvals_required": 0}, "A deployment needs no approval: it is queued at once."),
        ({"approvals_required": 2, "approval_hours": 1}, "needs 2 approvals by somebody else, within 1 hour."),
        ({"approvals_required": 1, "signed_approvals": True}, "needs 1 signed approval by somebody else"),
        ({"batch": 1}, "then 1 server at a time. One that fails takes all of them back."),
        ({"max_failures": 2}, "Up to 2 servers may fail and stay as they were"),
        ({"bake_seconds": 0}, "Nothing is watched for alerts after a success."),
        ({"bake_seconds": 90}, "For 90 s after a success a new critical alert takes it back."),
        ({"bake_seconds": 60, "bake_action": "pause"}, "For 1 minute after a success a new critical alert locks"),
    ],
)
def test_the_policy_is_told_in_sentences(values: dict[str, Any], words: str) -> None:
    assert words in " ".join(policy_in_words(Environment(name="x", **values)))


def test_the_page_costs_the_same_with_many_servers_and_deployments(
    world: World,
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            page(world, "operator")
        return len(seen)

    for release in world.releases:
        world.succeeded(release)
    queries()
    few = queries()
    for _ in range(3):
        world.succeeded(world.releases[0])
        world.succeeded(world.releases[1])
    template = world.servers["production"]
    for number in range(5):
        Server.objects.create(
            name=f"more-{number}",
            environment=world.production,
            host=f"more-{number}.invalid",
            host_key=template.host_key,
            fingerprint=template.fingerprint,
            roles=["bot"],
            state=Server.State.PROVISIONED,
        )
    assert queries() == few


def test_no_word_is_a_databases(world: World) -> None:
    world.succeeded(world.releases[0])
    shown = page(world, "viewer")
    for raw in (">None<", ">True<", ">False<", ">{}<", "Fence", "bake_"):
        assert raw not in shown, raw
