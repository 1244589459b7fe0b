"""Asking for a deployment: what the form chooses and what the plan shows are one release."""

import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from deployments.admin import request_deployment
from deployments.environments.locks import lock_environment
from deployments.lifecycle import Status
from deployments.models import Deployment, Release, Server
from deployments.requests import release_options
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World


def address(world: World) -> str:
    """The page of production's requests."""
    return reverse("admin:deployments_environment_request", args=[world.production.pk])


def names(page: str) -> tuple[str, str, str]:
    """The numbers of the release that is selected, that comes with the plan, and that the plan says it is of."""
    selected = re.search(r'<input type="radio" name="release" value="(\d+)" form="cy-form" checked>', page)
    sent = re.search(r'<input type="hidden" form="cy-form" name="plan_of" value="(\d+)"', page)
    shown = re.search(r"What (\S+) would do on production", text_of(page))
    assert selected
    assert sent
    assert shown
    return selected[1], sent[1], str(Release.objects.get(version=shown[1]).pk)


def nothing_chosen(page: str) -> bool:
    """Whether a person has to choose first: no row is ticked, no plan is shown, nothing can be sent."""
    assert "would do on production" not in text_of(page)
    assert re.search('id="cy-send" class="[^"]+" disabled', page)
    return 'form="cy-form" checked' not in page


def test_a_link_that_names_a_release_chooses_it_and_shows_its_plan(world: World) -> None:
    client = world.client("operator")
    for release in world.releases:
        page = client.get(f"{address(world)}?release={release.pk}&reason=as+asked").content.decode()
        assert names(page) == (str(release.pk),) * 3
        assert "as asked</textarea>" in page


def test_what_does_not_run_there_yet_is_chosen_before_what_does(world: World) -> None:
    client, (old, new) = world.client("operator"), world.releases
    world.succeeded(old, "test")
    world.succeeded(old)
    assert names(client.get(address(world)).content.decode()) == (str(new.pk),) * 3
    Release.objects.filter(pk=new.pk).update(quarantined_at=timezone.now())
    assert nothing_chosen(client.get(address(world)).content.decode()), "neither what runs nor what is condemned"
    Release.objects.filter(pk=new.pk).update(quarantined_at=None)
    assert names(client.get(address(world)).content.decode())[0] == str(new.pk)
    world.succeeded(new)
    assert nothing_chosen(client.get(address(world)).content.decode()), "what is older is no proposal either"


def test_to_deploy_again_what_runs_looks_like_it(world: World) -> None:
    client, (old, new) = world.client("operator"), world.releases
    world.succeeded(old)
    page = client.get(address(world), {"release": old.pk}).content.decode()
    assert f"{old.version} runs on production already. This would deploy it again." in text_of(page)
    page = client.get(address(world), {"release": new.pk}).content.decode()
    assert "already" not in text_of(page)


def test_what_has_run_nowhere_can_be_tried_first_where_nobody_has_to_approve(world: World) -> None:
    client, new = world.client("operator"), world.releases[1]
    test = reverse("admin:deployments_environment_request", args=[world.test.pk])
    link = f'<a href="{test}?release={new.pk}">Deploy it to test first</a>'
    assert link in client.get(address(world)).content.decode()
    assert link not in client.get(f"{test}?release={new.pk}").content.decode()
    world.succeeded(new, "test")
    assert link not in client.get(address(world)).content.decode()


def test_the_button_says_what_happens(world: World) -> None:
    client, release = world.client("operator"), world.releases[1]
    for environment, said in ((world.production, "Request approval"), (world.test, "Deploy now")):
        where = reverse("admin:deployments_environment_request", args=[environment.pk])
        page = client.get(where, {"release": release.pk}).content.decode()
        button = re.search(r'(?s)<button type="submit" id="cy-send" class="cy-button cy-good">(.*?)</button>', page)
        assert button
        assert said in text_of(button[1])
        assert ("Deploy without approval" in button[1]) is environment.protected
        assert ("Cannot wait? Break glass" in page) is environment.protected
    world.succeeded(release, "test")
    again = client.get(where, {"release": release.pk}).content.decode()
    assert "Deploy again" in text_of(again.split('id="cy-send"')[1])


def test_every_release_is_a_row_with_age_change_and_what_became_of_it(world: World) -> None:
    old, new = world.releases
    world.succeeded(old)
    failed = world.succeeded(new, "test")
    Deployment.objects.filter(pk=failed.pk).update(status=Status.FAILED)
    Server.objects.filter(environment=world.test).update(current_release=None)
    page = world.client("operator").get(address(world), {"release": new.pk}).content.decode()
    first, second = (text_of(row) for row in re.findall(r'(?s)<label class="cy-release">(.*?)</label>', page))
    for row, words in ((first, (new.version, "1.1.0: say more", "failed on test")), (second, (old.version, "live on"))):
        assert all(word in row for word in words), row
    assert f"{old.version} → {new.version} · 2 files, 0 packages, " in text_of(page)


def test_many_releases_are_folded_but_for_the_newest_and_the_chosen(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_deployment, "SHOWN", 1)
    client = world.client("operator")
    assert "<details><summary>1 older release</summary>" in client.get(address(world)).content.decode()
    page = client.get(address(world), {"release": world.releases[0].pk}).content.decode()
    assert "<details open><summary>1 older release</summary>" in page


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
    assert f'name="release" value="{first.pk}"' not in client.get(address(world)).content.decode()
    page = client.get(f"{address(world)}?release={first.pk}").content.decode()
    assert names(page) == (str(first.pk),) * 3
    assert client.post(address(world), {"release": first.pk, "plan_of": first.pk}).status_code == 302


@pytest.mark.parametrize("named", ["of another application", "unknown", "no number"])
def test_a_release_that_cannot_be_deployed_there_is_told_and_none_is_chosen(named: str, world: World) -> None:
    Release.objects.filter(pk=world.releases[0].pk).update(name="tea-bot")
    world.succeeded(world.releases[1])
    type(world.production).objects.update(application=world.releases[1].name)
    asked: Any = {"of another application": world.releases[0].pk, "unknown": 10**14, "no number": "²"}[named]
    page = world.client("operator").get(address(world), {"release": asked}).content.decode()
    assert "cannot be deployed to production" in text_of(page)
    assert nothing_chosen(page)


def links(page: str) -> dict[str, str]:
    """Buttons that lead to the page of a request: label and address."""
    found = re.findall(r'<a class="[^"]*button[^"]*" href="([^"]+/request/[^"]*)">(?:<span.*?</span>)?([^<]+)', page)
    return {label: link for link, label in found}


def test_releases_and_deployments_lead_to_the_one_page_of_a_request(world: World) -> None:
    ended = world.succeeded(world.releases[0])
    chosen, client = f"{address(world)}?release={world.releases[0].pk}", world.client("operator")
    page = client.get(reverse("admin:deployments_release_change", args=[world.releases[0].pk])).content.decode()
    assert links(page)["Deploy to production"] == chosen
    assert set(links(page)) == {"Deploy to production", "Deploy to test"}
    assert links(client.get(f"/deployments/{ended.pk}/").content.decode()) == {"Redeploy": chosen}
    Deployment.objects.filter(pk=ended.pk).update(status=Status.ROLLED_BACK)
    found = links(client.get(f"/deployments/{ended.pk}/").content.decode())
    assert found == {"Deploy another release": address(world), "Retry": chosen}
    assert names(client.get(chosen).content.decode()) == (str(world.releases[0].pk),) * 3


@pytest.mark.parametrize("why", ["locked", "no role", "no artifact"])
def test_asking_is_offered_where_it_could_be_done(why: str, world: World) -> None:
    release, ended = world.releases[0], world.succeeded(world.releases[0])
    if why == "locked":
        lock_environment(actor=world.people["operator"], environment=world.production, reason="exams")
    if why == "no artifact":
        Release.objects.filter(pk=release.pk).update(artifact="")
    client = world.client("viewer" if why == "no role" else "operator")
    for place in (reverse("admin:deployments_release_change", args=[release.pk]), f"/deployments/{ended.pk}/"):
        found = links(client.get(place).content.decode())
        assert not any(address(world) in link for link in found.values()), place
    listed = client.get(reverse("admin:deployments_deployment_changelist")).content.decode()
    assert ("Deploy to production" in links(listed)) == (why == "no artifact"), "another one can be asked for there"
