"""Who stands behind what a workflow asks for: the person whose account on GitHub it is, and nobody else alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from deployments.core.actors import Actor
from deployments.github.accounts import link_account, unlink_account
from deployments.github.bindings import bind_workflow
from deployments.models import ApiToken, AuditEvent, Deployment, GitHubAccount, Role, Scope, WorkflowBinding
from deployments.people.accounts import change_person
from engine.errors import Conflict, InvalidRequest, NotAllowed, PortalError
from tests.deployments.github.issuer import Issuer
from tests.deployments.world import World

pytestmark = pytest.mark.django_db
Bind = Callable[..., WorkflowBinding]
Swap = Callable[..., Any]


def link(world: World, who: str, account_id: int = 1001) -> GitHubAccount:
    return world.link_github(who, account_id, f"{who}-gh")


def ask(world: World, answer: Any, environment: str = "production") -> Any:
    assert answer.status_code == 200, answer.json()
    return Client().post(
        "/api/v1/deployments",
        json.dumps({"environment": environment, "release": world.releases[1].identifier, "reason": "pushed"}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
    )


def test_whoever_pushed_does_not_approve_what_their_workflow_asks_for(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "requester")
    asked = ask(world, swap(issuer.identity()))
    assert asked.status_code == 201, asked.json()
    assert asked.json()["requested_by"] == "requester/token:github:alice-gh:acme/bot"
    number = asked.json()["number"]
    decision = {"decision": "approved"}
    refused = world.api("requester", "post", f"/deployments/{number}/approvals", decision)
    assert (refused.status_code, refused.json()["reason"]) == (403, "four_eyes")
    assert world.api("approver", "post", f"/deployments/{number}/approvals", decision).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"actor_id": "2002"},
        {"run_attempt": "2"},
        {"event_name": "issue_comment"},
        {"event_name": "pull_request_target"},
        {"event_name": "schedule"},
    ],
)
def test_a_run_that_nobody_here_is_known_to_have_started_asks_only_where_nobody_approves(
    changes: dict[str, str], world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    """An account nobody linked; a run that somebody else may have started again, or made start."""
    bind()
    link(world, "requester")
    answer = swap(issuer.identity(**changes))
    refused = ask(world, answer)
    assert refused.status_code == 403
    assert "Nobody here is known to have started the run" in refused.json()["detail"]
    asked = ask(world, answer, "test")
    assert asked.status_code == 201, asked.json()
    assert asked.json()["requested_by"] == "token:github:alice-gh:acme/bot"
    assert list(Deployment.objects.values_list("environment__name", flat=True)) == ["test"]


def test_a_workflow_can_no_more_than_the_person_who_pushed(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "viewer")
    assert swap(issuer.identity()).json()["scope"] == "read"
    person = world.user("viewer")
    change_person(actor=world.people["administrator"], person=person, changes={}, roles=[])
    assert swap(issuer.identity()).status_code == 403


def test_somebody_switched_off_gets_nothing_and_is_not_nobody(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "operator")
    answer = swap(issuer.identity())
    admin = world.people["administrator"]
    change_person(actor=admin, person=world.user("operator"), changes={"is_active": False}, roles=[Role.OPERATOR])
    assert ask(world, answer, "test").status_code == 401
    for changes in ({}, {"run_attempt": "2"}):
        refused = swap(issuer.identity(**changes))
        assert refused.status_code == 403
        assert "switched off" in refused.json()["detail"]


def test_nobody_links_an_account_for_somebody_else(world: World) -> None:
    """Else an administrator's own pushes would count as asked by another."""
    for actor in (world.people["administrator"], world.people["superuser"], Actor("shell", "root")):
        with pytest.raises(NotAllowed):
            link_account(actor=actor, person=world.user("operator"), login="mine", account_id=7)
    token = Actor("token", "t", world.people["operator"].roles, frozenset(Scope), person="operator")
    with pytest.raises(NotAllowed):
        link_account(actor=token, person=world.user("operator"), login="mine", account_id=7)
    assert not GitHubAccount.objects.exists()


def test_an_account_is_one_persons_and_unlinking_ends_its_tokens(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "operator")
    with pytest.raises(Conflict):
        link(world, "colleague")
    answer = swap(issuer.identity())
    with pytest.raises(NotAllowed):
        unlink_account(actor=world.people["approver"], person=world.user("operator"))
    unlink_account(actor=world.people["administrator"], person=world.user("operator"))
    assert ask(world, answer, "test").status_code == 401
    link(world, "colleague")
    names = list(AuditEvent.objects.filter(name__startswith="person.github").values_list("name", flat=True))
    linked = ["person.github_confirmed"] * 2 + ["person.github_linked"] * 2
    assert sorted(names) == [*linked, "person.github_unlinked"]


@pytest.mark.parametrize("who", ["viewer", "operator", "approver", "none"])
def test_administrators_bind(who: str, world: World) -> None:
    with pytest.raises(NotAllowed):
        bind_workflow(
            actor=world.people[who],
            name="x",
            repository="a/b",
            repository_id=1,
            ref="refs/heads/main",
            github_environment="portal",
            scopes=[Scope.READ],
        )
    assert not WorkflowBinding.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": [Scope.APPROVE]},
        {"scopes": [Scope.DEPLOY, Scope.ADMINISTER]},
        {"scopes": [Scope.HEARTBEAT]},
        {"scopes": []},
        {"ref": "main"},
        {"ref": "refs/heads/*"},
        {"ref": "refs/heads/rel*"},
        {"ref": "refs/tags/*"},
        {"ref": "refs/tags/v*x"},
        {"ref": "refs/heads/main\n"},
        {"repository": "acme"},
        {"repository": "acme/*"},
        {"repository_id": -1},
        {"github_environment": ""},
        {"github_environment": "a\x00b"},
        {"name": ""},
    ],
)
def test_what_cannot_be_bound(changes: dict[str, Any], bind: Bind) -> None:
    with pytest.raises(PortalError) as refused:
        bind(**changes)
    assert isinstance(refused.value, InvalidRequest)
    assert not WorkflowBinding.objects.exists()


def test_an_exchanged_token_makes_no_tokens_and_decides_nothing(
    world: World, issuer: Issuer, bind: Bind, swap: Swap
) -> None:
    bind()
    link(world, "requester")
    text = swap(issuer.identity()).json()["access_token"]
    row = world.request("colleague")
    decided = Client().post(
        f"/api/v1/deployments/{row.pk}/approvals",
        '{"decision": "approved"}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {text}"},
    )
    assert decided.status_code == 403
    assert ApiToken.objects.get(binding__isnull=False).scopes == ["deploy", "read", "release"]
