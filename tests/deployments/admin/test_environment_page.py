"""An environment is a page: how it stands, what may be done, its policy in words. The form is behind it."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from alerting.incidents.recording import Said, open_incident
from alerting.models import Alert
from deployments.admin.environment_page import policy_in_words
from deployments.environments.locks import lock_environment
from deployments.environments.settings import configure_environment
from deployments.models import Environment, Server
from deployments.requests.approvals import reject
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
        f"Runs {world.releases[1].version}",
        f"Last deployment #{last.pk} Succeeded",
        f"Rollback target {world.releases[0].version}",
        f"{world.releases[1].version} to production Requested by colleague, just now : people asked",
        "Review and decide",
        "production-1 Provisioned",
        "A deployment needs 1 approval by somebody else, within 24 hours.",
        "dice.json : sides",
        "1 change not deployed yet dice.json",
        "Environment configured",
    ):
        assert words in said, words
    assert "Review and decide" not in text_of(page(world, "colleague")), "who asked does not decide"
    assert "Request deployment" not in page(world, "viewer")
    assert "<textarea" not in page(world, "administrator"), "the form is behind Settings"
    assert f'href="{reverse("admin:deployments_deployment_approve", args=[waiting.pk])}"' in page(world, "approver")


def test_what_was_rejected_did_nothing_there(world: World) -> None:
    last = world.succeeded(world.releases[0])
    reject(actor=world.people["approver"], deployment=world.request(), comment="not today")
    assert f"Last deployment #{last.pk} Succeeded" in text_of(page(world, "viewer"))


def test_who_may_not_deploy_reads_which_role_may(world: World) -> None:
    asked = "You do not deploy or roll back here. Ask an administrator for the role operator."
    assert asked in text_of(page(world, "viewer"))
    own = page(world, "administrator")
    assert "You do not deploy or roll back here: that takes the role operator. Your roles" in text_of(own)
    assert f'href="{reverse("admin:auth_user_change", args=[world.user("administrator").pk])}">Your roles' in own
    assert "Ask an administrator" not in text_of(own)
    assert "You do not deploy" not in page(world, "operator")


def test_settings_that_went_with_a_deployment_or_were_changed_back_wait_for_none(world: World) -> None:
    def configure(sides: int) -> None:
        change = {"configuration": {"dice.json": {"sides": sides}} if sides else {}}
        configure_environment(actor=world.people["administrator"], environment=world.production, changes=change)

    configure(12)
    assert "not deployed yet" not in page(world, "viewer"), "nothing runs there"
    world.succeeded(world.releases[0])
    assert "not deployed yet" not in page(world, "viewer"), "it went with that"
    configure(20)
    assert "1 change not deployed yet dice.json.sides" in text_of(page(world, "viewer"))
    configure(0)
    assert "1 change not deployed yet dice.json " in text_of(page(world, "viewer"))
    configure(12)
    assert "not deployed yet" not in page(world, "viewer")


def test_bots_alerts_and_incidents_of_the_environment_stand_under_its_name(world: World) -> None:
    world.succeeded(world.releases[0])
    for home, name in ((world.production, "BotDown"), (world.test, "DiskFull")):
        Alert.objects.create(
            fingerprint=name,
            name=name,
            severity="critical",
            environment=home,
            status=Alert.Status.FIRING,
            annotations={"summary": f"{name} on {home}."},
            starts_at=timezone.now(),
        )
        said = Said("CyTube is slow.", severity="minor")
        open_incident(actor=world.people["operator"], title=f"Late on {home}", said=said, environments=[home])
    told = text_of(page(world, "viewer"))
    assert "production-1 Never heard from" in told
    assert "BotDown on production. critical, needs action" in told
    assert "Incident: Late on production investigating" in told
    assert "DiskFull" not in told
    assert "Late on test" not in told


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
        ({"batch": 1}, "The first server is the canary, then 1 at a time; if one fails, all go back."),
        (
            {"max_failures": 2},
            "at a time; 2 servers may fail and stay as they were.",
        ),
        ({"bake_seconds": 0}, "Alerts after a success change nothing."),
        ({"bake_seconds": 90}, "A new critical alert within 90 s of a success rolls it back."),
        (
            {"bake_seconds": 60, "bake_action": "pause"},
            "within 1 minute of a success locks the environment.",
        ),
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
