"""Asking for a deployment: what the form chooses and what the plan shows are one release."""

import re
from typing import Any

import pytest
from django.urls import reverse

from deployments.models import Deployment, Release
from deployments.requests import release_options
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


def address(world: World) -> str:
    """The page of production's requests."""
    return reverse("admin:deployments_environment_request", args=[world.production.pk])


def names(page: str) -> tuple[str, str, str]:
    """The numbers of the release that is selected, that comes with the plan, and that the plan says it is of."""
    selected = re.search(r'<option value="(\d+)" selected>', page)
    sent = re.search(r'<input type="hidden" form="cy-form" name="plan_of" value="(\d+)"', page)
    shown = re.search(r"What (\S+) would do on production", text_of(page))
    assert selected
    assert sent
    assert shown
    return selected[1], sent[1], str(Release.objects.get(identifier=shown[1]).pk)


def test_a_link_that_names_a_release_chooses_it_and_shows_its_plan(world: World) -> None:
    client = world.client("operator")
    for release in world.releases:
        page = client.get(f"{address(world)}?release={release.pk}&reason=as+asked").content.decode()
        assert names(page) == (str(release.pk),) * 3
        assert "as asked</textarea>" in page


@pytest.mark.parametrize("read", ["the other one", "none"])
def test_what_was_chosen_beside_another_plan_is_not_asked_for(read: str, world: World) -> None:
    client, (first, second) = world.client("operator"), world.releases
    sent = {"release": second.pk, "reason": "because", "plan_of": first.pk if read != "none" else ""}
    answer = client.post(address(world), sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert not Deployment.objects.exists()
    was = f"was the plan of {first}" if read != "none" else "was no plan of it"
    assert f"You chose {second}, and what the page showed {was}." in text_of(page)
    assert names(page) == (str(second.pk),) * 3, "the plan of what was chosen"
    assert "because</textarea>" in page
    assert client.post(address(world), sent | {"plan_of": second.pk}).status_code == 302
    assert Deployment.objects.get().release == second


def test_a_release_older_than_the_list_is_offered_where_a_link_names_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_options, "RELEASES", 1)
    client, first = world.client("operator"), world.releases[0]
    assert f'<option value="{first.pk}"' not in client.get(address(world)).content.decode()
    page = client.get(f"{address(world)}?release={first.pk}").content.decode()
    assert names(page) == (str(first.pk),) * 3
    assert client.post(address(world), {"release": first.pk, "plan_of": first.pk}).status_code == 302


@pytest.mark.parametrize("named", ["of another application", "unknown", "no number"])
def test_a_release_that_cannot_be_deployed_there_is_told_and_another_shown(named: str, world: World) -> None:
    Release.objects.filter(pk=world.releases[0].pk).update(name="tea-bot")
    world.succeeded(world.releases[1])
    type(world.production).objects.update(application=world.releases[1].name)
    asked: Any = {"of another application": world.releases[0].pk, "unknown": 10**14, "no number": "²"}[named]
    page = world.client("operator").get(address(world), {"release": asked}).content.decode()
    assert "cannot be deployed to production" in text_of(page)
    assert names(page) == (str(world.releases[1].pk),) * 3
