"""What became of a release so far: whoever asks for it and whoever approves it are told the same."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from deployments.lifecycle import Status
from deployments.models import Deployment, Release, Server
from deployments.requests.approvals import reject
from deployments.requests.release_records import records_of
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

SITUATIONS = {
    "nothing": ("It has run nowhere yet. Nobody has seen it work.", True),
    Status.FAILED: ("It failed on test (#N, just now).", True),
    Status.ROLLED_BACK: ("It failed on test (#N, just now).", True),
    Status.INTERRUPTED: ("It was interrupted on test (#N, just now).", True),
    Status.SUCCEEDED: ("It ran on test (#N, just now).", False),
    "live": ("It is live on test (#N, just now).", False),
    "rejected": ("It was rejected for production (#N, just now).", True),
    "quarantined": ("In quarantine since D, by olga: it shows a seven. It ran on test (#N, just now).", True),
    "both": ("It failed on test (#N, just now) and was rejected for production (#N, just now).", True),
}


def arrange(world: World, situation: str) -> None:
    """What happened to the second release."""
    release = world.releases[1]
    if situation not in {"nothing", "rejected"}:
        row = world.succeeded(release, "test")
        status = situation if situation in Status.values else Status.SUCCEEDED
        Deployment.objects.filter(pk=row.pk).update(
            status=Status.FAILED if situation == "both" else status, finished_at=timezone.now()
        )
    if situation != "live":
        Server.objects.update(current_release=None)
    if situation in {"rejected", "both"}:
        reject(actor=world.people["approver"], deployment=world.request(), comment="It shows a seven.")
    if situation == "quarantined":
        Release.objects.filter(pk=release.pk).update(
            quarantined_at=timezone.now(), quarantined_by="olga", quarantine_reason="it shows a seven"
        )


def told(page: str) -> tuple[str, bool]:
    """The sentence about the release, and whether it stands out."""
    found = re.findall(r'(?s)<p class="(cy-banner|cy-record)(?: cy-quiet)?">(?=It|In|<strong>I[nt])(.*?)</p>', page)
    assert len(found) == 1, found
    said = re.sub(r" ([).,])", r"\1", text_of(found[0][1])).replace("( ", "(").strip()
    return re.sub(r"#\d+", "#N", re.sub(r"since .*? UTC", "since D", said)), found[0][0] == "cy-banner"


@pytest.mark.parametrize("situation", SITUATIONS)
def test_asking_approving_and_waiting_say_the_same_of_a_release(situation: str, world: World) -> None:
    arrange(world, situation)
    asking = reverse("admin:deployments_environment_request", args=[world.production.pk])
    page = world.client("operator").get(asking, {"release": world.releases[1].pk}).content.decode()
    assert told(page) == SITUATIONS[situation]
    row = world.request()
    for address in (reverse("admin:deployments_deployment_approve", args=[row.pk]), f"/deployments/{row.pk}/"):
        assert told(world.client("approver").get(address).content.decode()) == SITUATIONS[situation], address


def test_it_costs_the_same_however_often_a_release_was_deployed(world: World) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            records_of(world.releases)
        return len(seen)

    world.succeeded(world.releases[0])
    few = queries()
    for _ in range(5):
        world.succeeded(world.releases[1], "test")
    assert queries() == few == 2


def test_the_list_of_releases_says_what_became_of_each(world: World) -> None:
    failed = world.succeeded(world.releases[1], "test")
    Deployment.objects.filter(pk=failed.pk).update(status=Status.FAILED)
    live = world.succeeded(world.releases[0])
    world.succeeded(world.releases[0], "test")
    client, address = world.client("viewer"), reverse("admin:deployments_release_changelist")

    def said() -> dict[str, str]:
        page = client.get(address).content.decode()
        rows = re.findall(r"(?s)<tr[^>]*>(.*?)</tr>", page.split('id="result_list"')[1])
        return {name: row for row in rows for name in map(str, world.releases) if f'title="{name}"' in row}

    first, second = (said()[str(release)] for release in world.releases)
    assert "live on production live on test" in text_of(first)
    assert f'href="/deployments/{live.pk}/"' in first
    assert "failed on test" in text_of(second)
    assert "1.1.0: say more" in text_of(second)
    assert f'href="/deployments/{failed.pk}/"' in second
    Deployment.objects.filter(pk=failed.pk).delete()
    assert "never deployed" in text_of(said()[str(world.releases[1])])
    Release.objects.filter(pk=world.releases[1].pk).update(quarantined_at=timezone.now())
    assert "in quarantine" in text_of(said()[str(world.releases[1])])


def test_a_row_of_the_list_leads_to_deploying_it_where_it_does_not_run_for_those_who_may(world: World) -> None:
    world.succeeded(world.releases[0], "test", approved_by=())
    reject(actor=world.people["approver"], deployment=world.request(), comment="Not on a Friday.")
    waits = world.request()
    Release.objects.update(name="dice-bot")

    def page(who: str) -> str:
        return world.client(who).get(reverse("admin:deployments_release_changelist")).content.decode()

    ask = reverse("admin:deployments_environment_request", args=[world.production.pk])
    assert f'href="{ask}?release={world.releases[0].pk}"' in page("operator"), "test runs it already"
    assert "?release=" not in page("viewer")
    told = page("viewer")
    assert f'href="/deployments/{waits.pk}/"><span class="cy-status cy-waiting">waits for production' in told
    assert '<span class="cy-status cy-awaiting_approval">rejected for production' in told


def test_the_list_asks_as_often_for_two_releases_as_for_twenty(world: World) -> None:
    client, address = world.client("viewer"), reverse("admin:deployments_release_changelist")

    def queries() -> int:
        client.get(address)
        with CaptureQueriesContext(connection) as seen:
            client.get(address)
        return len(seen)

    for release in world.releases:
        world.succeeded(release)
    few = queries()
    copies = []
    for index in range(20):
        copy = Release.objects.get(pk=world.releases[0].pk)
        copy.pk, copy.identifier, copy.version = None, f"2.0.{index}-abc", f"2.0.{index}"
        copies.append(copy)
    for copy in Release.objects.bulk_create(copies):
        world.succeeded(copy, "test")
    assert queries() == few
