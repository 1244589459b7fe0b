"""The page of a rollback says what it would do before anybody sends it, and keeps its refusal under the field."""

import re

import pytest
from django.urls import reverse

from deployments.models import Deployment
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


@pytest.fixture
def live(world: World) -> Deployment:
    world.succeeded(world.releases[0])
    return world.succeeded(world.releases[1])


def addresses(live: Deployment) -> list[str]:
    return [
        reverse("admin:deployments_deployment_roll_back", args=[live.pk]),
        reverse("admin:deployments_environment_roll_back", args=[live.environment_id]),
    ]


def test_both_pages_say_what_would_happen(world: World, live: Deployment) -> None:
    old, new = (release.version for release in world.releases[:2])
    server = world.servers["production"].name
    for address in addresses(live):
        page = world.client("operator").get(address).content.decode()
        said = text_of(page)
        for words in (
            f"What going back to {old} would do on production",
            f"{new} → {old}",
            f"{server} {new} {old}",
            "Configuration Unchanged.",
            "time not known yet",
            "Data is kept",
            "goes into quarantine: nobody goes back to it",
        ):
            assert words in said, (address, words)
        assert "cy-decide" in page


def test_without_a_reason_it_is_refused_under_the_field(world: World, live: Deployment) -> None:
    before = Deployment.objects.count()
    for address in addresses(live):
        answer = world.client("operator").post(address, {"reason": "", "release": ""})
        assert answer.status_code == 422
        page = answer.content.decode()
        field = re.search(r'<div class="cy-field errors">.*?</div>', page, re.DOTALL)
        assert field is not None
        assert 'name="reason"' in field[0]
        assert 'role="alert"' in field[0]
    assert Deployment.objects.count() == before


def test_where_there_is_nothing_to_go_back_to_there_is_no_plan(world: World) -> None:
    row = world.succeeded(world.releases[0])
    for address in addresses(row):
        answer = world.client("operator").get(address)
        assert answer.status_code == 200
        assert "would do on" not in text_of(answer.content.decode())
