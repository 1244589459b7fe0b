"""A deployment that was taken back says so wherever deployments are listed, in as many queries as without."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deployments.core.selectors import followed_by, was_taken_back
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

WORDS = "Succeeded, taken back"


@pytest.fixture
def gone(world: World) -> Deployment:
    """The second release, which a rollback to the first has taken back."""
    now = timezone.now()
    rows = [world.succeeded(world.releases[number]) for number in (0, 1, 0)]
    for ago, row in zip((30, 20, 10), rows, strict=True):
        Deployment.objects.filter(pk=row.pk).update(finished_at=now - timedelta(minutes=ago))
    Deployment.objects.filter(pk=rows[2].pk).update(kind=Kind.ROLLBACK, rollback_of=rows[1])
    return Deployment.objects.get(pk=rows[1].pk)


def test_every_list_says_it(world: World, gone: Deployment) -> None:
    lists = [
        "/deployments/",
        "/",
        reverse("admin:deployments_deployment_changelist"),
        reverse("admin:index"),
        reverse("admin:deployments_environment_change", args=[gone.environment_id]),
        reverse("admin:deployments_server_change", args=[world.servers["production"].pk]),
        reverse("admin:deployments_release_change", args=[gone.release_id]),
    ]
    client = world.client("viewer")
    for address in lists:
        assert text_of(client.get(address).content.decode()).count(WORDS) == 1, address
    found = client.get("/palette", {"q": f"#{gone.pk}"}).json()["entries"]
    assert any(one["title"].endswith("on production, taken back") for one in found)


def test_programs_are_told_too(world: World, gone: Deployment) -> None:
    listed = world.api("viewer", "get", "/deployments").json()["items"]
    assert [one["number"] for one in listed if one["taken_back"]] == [gone.pk]
    assert world.api("viewer", "get", f"/deployments/{gone.pk}").json()["taken_back"] is True
    told = json.loads(world.command("operator", "history", "production")[1])
    assert [one["deployment"] for one in told if one["taken_back"]] == [gone.pk]


def test_it_is_what_the_deployments_own_page_says(world: World, gone: Deployment) -> None:
    for row in Deployment.objects.with_taken_back():
        later = followed_by(row)
        assert row.taken_back == (later is not None and later.kind == Kind.ROLLBACK)
        assert was_taken_back(Deployment.objects.get(pk=row.pk)) == row.taken_back
    other = world.succeeded(world.releases[1])
    assert [row.pk for row in Deployment.objects.with_taken_back() if row.taken_back] == [gone.pk]
    Deployment.objects.filter(pk=other.pk).update(status=Status.FAILED)
    assert not Deployment.objects.with_taken_back().get(pk=other.pk).taken_back


def test_a_longer_list_asks_no_more(world: World, gone: Deployment) -> None:
    client = world.client("viewer")

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get("/deployments/")
        return len(queries)

    asked()
    before = asked()
    for _ in range(3):
        world.succeeded(world.releases[1])
    assert asked() == before
