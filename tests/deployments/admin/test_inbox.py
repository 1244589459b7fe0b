"""What waits for approval, on the overview: what it would do, and why somebody may not decide about it."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deployments.audit import trail
from deployments.environments.registry import add_environment
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment, Server
from deployments.requests.approvals import approve
from deployments.requests.inbox import inbox
from tests.deployments.admin.test_pages import read, text_of
from tests.deployments.world import World


def told(world: World, who: str) -> str:
    """What the overview says under its first heading."""
    return text_of(read(world, who, "index").split('<section class="cy-card cy-attention"')[1].split("</section>")[0])


def test_whoever_may_decide_reads_what_it_is_about(world: World) -> None:
    world.succeeded(world.releases[0])
    failed = world.succeeded(world.releases[1], "test")
    Deployment.objects.filter(pk=failed.pk).update(status=Status.FAILED)
    Server.objects.filter(environment=world.test).update(current_release=None)
    row = world.request()
    said = told(world, "approver")
    assert "Waiting for you" in said
    assert f"{row.release.version} to production" in said
    assert "Requested by colleague, just now : because" in said
    assert f"production-1: from {world.releases[0].version} " in said
    assert "expires in 23 h" in said
    assert f"It failed on test ( #{failed.pk} , just now )." in said
    assert f"Review and decide about deployment {row.pk}" in said


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("requester", "Whoever asked for a deployment cannot be the one who decides about it."),
        ("operator", "You may not approve: that takes the role approver."),
        ("superuser", "You approved it already."),
        ("approver", "approver lately let in whoever asked for a deployment, or whoever would decide about it."),
    ],
)
def test_whoever_may_not_decide_reads_why_and_gets_no_button(who: str, why: str, world: World) -> None:
    Environment.objects.filter(pk=world.production.pk).update(approvals_required=2)
    row = world.request("requester")
    approve(actor=world.people["superuser"], deployment=row)
    trail.record_alone(actor=world.people["approver"], name="person.recovered", subject="person:requester")
    said = told(world, who)
    assert "Needs action" in said
    assert why in said
    assert "1 of 2 approvals" in said
    assert "Review and decide" not in said


def test_it_asks_as_often_for_many_environments_as_for_one(world: World) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert inbox(world.people["approver"])
        return len(seen)

    row = world.request()
    few = queries()
    for index in range(8):
        row.environment = add_environment(
            actor=world.people["administrator"], application=row.release.name, name=f"place-{index}", approvals=1
        )
        row.pk = None
        row.save()
    assert len(inbox(world.people["approver"])) == 9
    assert queries() == few


def test_either_answer_is_given_on_either_page_and_what_was_typed_stays(world: World) -> None:
    row, client = world.request(), world.client("approver")
    pages = {name: reverse(f"admin:deployments_deployment_{name}", args=[row.pk]) for name in ("approve", "reject")}
    for address in pages.values():
        page = client.get(address).content.decode()
        assert re.findall(r'formaction="([^"]+)"', page) == list(pages.values())
    Environment.objects.filter(pk=world.production.pk).update(locked_at=row.requested_at, locked_by="olga")
    refused = client.post(pages["approve"], {"comment": "looks good"}).content.decode()
    assert "looks good</textarea>" in refused
    refused = client.post(pages["reject"], {"comment": " "}).content.decode()
    assert "A rejection needs a reason" in refused
    assert re.findall(r'formaction="([^"]+)"', refused) == list(pages.values())
    assert client.post(pages["reject"], {"comment": "not tonight"}).status_code == 302
    row.refresh_from_db()
    assert (row.status, row.approvals.get().comment) == (Status.REJECTED, "not tonight")
