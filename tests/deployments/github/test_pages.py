"""Binding workflows and linking one's account, in the control room."""

from typing import Any

import pytest
from django.urls import reverse

from deployments.github.accounts import confirm_account, link_account
from deployments.models import GitHubAccount, WorkflowBinding
from tests.deployments.world import World

BOUND = {
    "name": "Deploys of the bot",
    "repository": "acme/bot",
    "repository_id": "4711",
    "ref": "refs/heads/main",
    "github_environment": "portal",
    "workflow": "",
    "environment": "",
    "scopes": ["read", "release", "deploy"],
}


def add(world: World, who: str, **changes: Any) -> Any:
    return world.client(who).post(reverse("admin:deployments_workflowbinding_add"), {**BOUND, **changes})


def test_an_administrator_binds_a_workflow_and_unbinds_it(world: World) -> None:
    assert add(world, "administrator").status_code == 302
    row = WorkflowBinding.objects.get()
    assert (row.repository_id, row.scopes, row.created_by) == (4711, ["deploy", "read", "release"], "administrator")
    client = world.client("administrator")
    page = client.get(reverse("admin:deployments_workflowbinding_change", args=[row.pk])).content.decode()
    assert all(text in page for text in ("refs/heads/main", "Unbind"))
    assert 'name="_save"' not in page
    assert client.post(reverse("admin:deployments_workflowbinding_unbind", args=[row.pk])).status_code == 302
    row.refresh_from_db()
    assert row.ended_at is not None


@pytest.mark.parametrize("who", ["viewer", "operator", "approver"])
def test_nobody_else_binds_one(world: World, who: str) -> None:
    assert add(world, who).status_code == 403
    assert not WorkflowBinding.objects.exists()


def test_a_binding_that_cannot_be_is_told_on_its_page(world: World) -> None:
    answer = add(world, "administrator", ref="main")
    assert answer.status_code == 200
    assert "refs/heads/main, or refs/tags/v*" in answer.content.decode()


def test_everyone_links_their_own_account_and_unlinks_it(world: World) -> None:
    client, address = world.client("operator"), reverse("admin:account")
    assert client.post(address, {"link": "1", "login": "olga-gh", "account_id": "7"}).status_code == 302
    assert GitHubAccount.objects.get().person == world.user("operator")
    assert "olga-gh" in client.get(address).content.decode()
    confirm_account(actor=world.people["approver"], person=world.user("operator"), account_id=7)
    taken = world.client("colleague").post(address, {"link": "1", "login": "olga-gh", "account_id": "7"})
    assert taken.status_code == 409
    assert "This account was confirmed as somebody else" in taken.content.decode()
    assert client.post(address, {"link": "1", "login": "not a login", "account_id": "7"}).status_code == 422
    assert client.post(address, {"unlink": "1"}).status_code == 302
    assert not GitHubAccount.objects.exists()


def test_an_administrator_unlinks_an_account_that_is_somebody_elses(world: World) -> None:
    person = world.user("operator")
    link_account(actor=world.people["operator"], person=person, login="victim", account_id=9)
    address = reverse("admin:auth_user_unlink_github", args=[person.pk])
    world.client("approver").post(address)
    assert GitHubAccount.objects.exists()
    assert world.client("administrator").post(address).status_code == 302
    assert not GitHubAccount.objects.exists()
