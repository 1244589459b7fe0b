"""The page of a decision shows what became of a request once nothing is left to decide, and takes no answer."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from deployments.lifecycle import Kind, Status
from deployments.models import Approval, Deployment
from deployments.requests.approvals import approve, reject
from deployments.requests.cancellation import cancel
from tests.deployments.admin.test_pages import text_of
from tests.deployments.world import World

Ending = Callable[[World, Deployment], object]


def succeeded_and_taken_back(world: World, row: Deployment) -> None:
    Approval.objects.create(deployment=row, actor="approver", decision="approved", seal=row.seal, comment="go")
    now = timezone.now()
    Deployment.objects.filter(pk=row.pk).update(
        status=Status.SUCCEEDED, started_at=now, finished_at=now, sentence="It was seen to be well."
    )
    back = world.succeeded(world.releases[0])
    later = now + timedelta(seconds=1)
    Deployment.objects.filter(pk=back.pk).update(kind=Kind.ROLLBACK, finished_at=later, rollback_of=row)


ENDINGS: dict[str, tuple[Ending, tuple[str, ...]]] = {
    "approved": (
        lambda world, row: approve(actor=world.people["approver"], deployment=row, comment="looks good"),
        ("Queued", "Approved by approver", "looks good"),
    ),
    "rejected": (
        lambda world, row: reject(actor=world.people["approver"], deployment=row, comment="not on Friday"),
        ("Rejected", "Rejected by approver", "not on Friday"),
    ),
    "cancelled": (lambda world, row: cancel(actor=world.people["operator"], deployment=row), ("Cancelled",)),
    "expired": (
        lambda world, row: Deployment.objects.filter(pk=row.pk).update(expires_at=timezone.now()),
        ("nobody decided in time",),
    ),
    "superseded": (
        lambda world, row: world.request("operator"),
        ("Superseded", "In its place: #"),
    ),
    "taken back": (
        succeeded_and_taken_back,
        ("Succeeded, taken back", "Approved by approver", "It was seen to be well.", "It runs no more: #"),
    ),
}


@pytest.mark.parametrize("slug", ["approve", "reject"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_over_is_told_and_takes_no_answer(ending: str, slug: str, world: World) -> None:
    row, (end, told) = world.request(), ENDINGS[ending]
    end(world, row)
    address = reverse(f"admin:deployments_deployment_{slug}", args=[row.pk])
    before = Deployment.objects.get(pk=row.pk).status
    for who in ("approver", "operator", "viewer"):
        answer = world.client(who).get(address)
        page = answer.content.decode()
        assert answer.status_code == 200
        assert 'id="cy-form"' not in page
        for words in (*told, "nothing left to decide"):
            assert words in text_of(page), (who, words)
    refused = world.client("approver").post(address, {"comment": "yes"})
    assert refused.status_code == 409
    assert 'id="cy-form"' not in refused.content.decode()
    assert Deployment.objects.get(pk=row.pk).status == before


def test_while_it_waits_it_is_decided_there(world: World) -> None:
    row = world.request()
    page = world.client("approver").get(reverse("admin:deployments_deployment_approve", args=[row.pk]))
    assert 'id="cy-form"' in page.content.decode()
    assert "nothing left to decide" not in page.content.decode()
