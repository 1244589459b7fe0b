"""What needs a person takes a token of their own making; scopes live and die with roles; machines have their own."""

import importlib
import json
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from deployments.access.four_eyes import Responsibility
from deployments.access.policy import NOT_ON_RECORD, token_actor, usable_scopes
from deployments.access.tokens import authenticate, issue_token, revoke_token
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import ApiToken, AuditEvent, Deployment, Scope
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from engine.errors import InvalidRequest, NotAllowed
from tests.deployments.world import World
from tests.fixtures.records import hand_token

NEED_A_PERSON = [Scope.DEPLOY, Scope.APPROVE, Scope.ADMINISTER, Scope.ALERTS]


def _call(text: str, method: str, path: str, body: Any = None) -> Any:
    sent = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
    return getattr(Client(), method)(path, headers={"Authorization": f"Bearer {text}"}, **sent)


@pytest.mark.parametrize("scope", NEED_A_PERSON)
def test_what_needs_a_person_is_issued_to_its_owner_alone(scope: Scope, world: World) -> None:
    with pytest.raises(NotAllowed) as refused:
        issue_token(actor=world.people["administrator"], name="x", scopes=[scope], owner=world.user("requester"))
    assert refused.value.reason == "four_eyes"
    assert not ApiToken.objects.exists()
    issue_token(actor=world.people["requester"], name="x", scopes=[scope], owner=world.user("requester"))


@pytest.mark.parametrize("verb", ["request", "rollback", "cancel", "approve", "reject"])
def test_a_token_that_somebody_else_made_does_nothing_that_needs_a_person(verb: str, world: World) -> None:
    """One that was made before this rule, with every scope."""
    world.succeeded(world.releases[1])
    world.succeeded(world.releases[0])
    row = world.request("colleague")
    text = hand_token(world.user("requester"), "ci", maker="administrator")
    release = world.releases[1].identifier
    paths: dict[str, tuple[str, dict[str, Any]]] = {
        "request": ("/deployments", {"environment": "production", "release": release}),
        "rollback": ("/rollbacks", {"environment": "production", "reason": "x"}),
        "cancel": (f"/deployments/{row.pk}/cancel", {}),
        "approve": (f"/deployments/{row.pk}/approvals", {"decision": "approved"}),
        "reject": (f"/deployments/{row.pk}/approvals", {"decision": "rejected", "comment": "no"}),
    }
    path, body = paths[verb]
    answer = _call(text, "post", f"/api/v1{path}", body)
    assert answer.status_code == 403
    assert "was made by administrator" in answer.json()["detail"]
    row.refresh_from_db()
    assert row.status == Status.AWAITING_APPROVAL
    assert Deployment.objects.count() == 3


def test_where_nobody_approves_such_a_token_goes_on_working(world: World) -> None:
    text = hand_token(world.user("operator"), "ci", maker="administrator")
    body = {"environment": "test", "release": world.releases[1].identifier}
    assert _call(text, "post", "/api/v1/deployments", body).status_code == 201
    assert _call(text, "get", "/api/v1/deployments").status_code == 200


def test_whoever_made_the_token_that_asked_does_not_decide(world: World) -> None:
    """The request is older than the rule that refuses it."""
    hand_token(world.user("operator"), "ci", maker="requester")
    row = world.request("operator")
    Deployment.objects.filter(pk=row.pk).update(requested_by="operator/token:ci")
    row.refresh_from_db()
    assert Responsibility().people_behind(row.requested_by) == {"operator", "requester"}
    with pytest.raises(NotAllowed) as refused:
        approve(actor=world.people["requester"], deployment=row)
    assert refused.value.reason == "four_eyes"


@pytest.mark.parametrize("tampered", ["owner", "event"])
def test_a_token_that_the_trail_does_not_know_as_its_owners_is_somebody_elses(tampered: str, world: World) -> None:
    text = hand_token(world.user("colleague"), "ci")
    token = authenticate(text)
    assert token is not None
    assert token_actor(token).maker == ""
    if tampered == "owner":
        ApiToken.objects.update(owner=world.user("approver"))
    else:
        ApiToken.objects.filter(pk=token.pk).update(id=token.pk + 1)
    token = authenticate(text)
    assert token is not None
    assert token_actor(token).maker == NOT_ON_RECORD
    row = world.request("requester")
    answer = _call(text, "post", f"/api/v1/deployments/{row.pk}/approvals", {"decision": "approved"})
    assert answer.status_code == 403
    assert claim(row.pk) is None


@pytest.mark.parametrize("who", ["none", "viewer", "operator", "approver", "administrator", "superuser"])
def test_scopes_that_the_owners_roles_cannot_use_are_neither_offered_nor_issued(who: str, world: World) -> None:
    usable = usable_scopes(world.user(who))
    for scope in set(Scope) - usable:
        with pytest.raises((InvalidRequest, NotAllowed)):
            issue_token(actor=world.people[who], name="x", scopes=[scope], owner=world.user(who))
    for scope in usable:
        issue_token(actor=world.people[who], name="x", scopes=[scope], owner=world.user(who))
    assert Scope.HEARTBEAT not in usable
    if who in ("viewer", "operator", "approver"):
        page = world.client(who).get(reverse("admin:deployments_apitoken_add")).content.decode()
        assert {scope for scope in Scope if f'value="{scope.value}"' in page} == usable


def test_a_scope_dies_with_the_role(world: World) -> None:
    text = hand_token(world.user("viewer"), "metrics")
    assert _call(text, "get", "/metrics").status_code == 200
    world.user("viewer").groups.set(Group.objects.none())
    assert _call(text, "get", "/metrics").status_code == 403
    assert _call(text, "get", "/api/v1/deployments").status_code == 403


@pytest.mark.parametrize("who", ["viewer", "operator", "administrator", "superuser"])
def test_a_persons_token_delivers_nothing_that_machines_deliver(who: str, world: World) -> None:
    text = hand_token(world.user(who), "forged")
    delivery = {"receiver": "x", "groupKey": "x", "status": "firing", "alerts": []}
    assert _call(text, "post", "/api/alerts/alertmanager", delivery).status_code == 403
    beat = {"health": {}, "sent_at": "2026-01-01T00:00:00Z"}
    assert _call(text, "post", "/api/v1/heartbeats", beat).status_code in (403, 422)
    assert not AuditEvent.objects.filter(name__startswith="alert").exists()


def test_a_token_is_a_persons_or_a_machines(world: World) -> None:
    with pytest.raises(InvalidRequest, match="not both"):
        issue_token(
            actor=world.people["administrator"],
            name="x",
            scopes=[Scope.READ],
            owner=world.user("administrator"),
            server=world.servers["test"],
        )
    with pytest.raises(InvalidRequest, match="A machine could not use"):
        issue_token(actor=world.people["administrator"], name="x", scopes=[Scope.DEPLOY])


def test_an_administrator_alone_gets_nothing_into_production(world: World) -> None:
    """The instance: she gives herself approver, makes a token of the operator's, asks with it and approves."""
    world.user("administrator").groups.add(Group.objects.get(name="approver"))
    text = hand_token(world.user("operator"), "ci", maker="administrator")
    body = {"environment": "production", "release": world.releases[1].identifier, "reason": "x"}
    assert _call(text, "post", "/api/v1/deployments", body).status_code == 403
    assert not Deployment.objects.exists()
    token = authenticate(text)
    assert token is not None
    with pytest.raises(NotAllowed, match="made by administrator"):
        request_deployment(actor=token_actor(token), release=world.releases[1], environment=world.production)


def test_tokens_of_machines_that_administrators_made_in_their_own_name_become_the_machines(world: World) -> None:
    """As the migration does with what an older portal holds."""
    made = {who: authenticate(hand_token(world.user(who), "watch")) for who in ("viewer", "administrator", "superuser")}
    ApiToken.objects.update(scopes=["alerts", "metrics"])
    bot = authenticate(hand_token(world.user("superuser"), "beats"))
    personal = authenticate(hand_token(world.user("administrator"), "personal"))
    assert bot is not None
    ApiToken.objects.filter(pk=bot.pk).update(scopes=["heartbeat"], server=world.servers["test"])
    migration = importlib.import_module("deployments.migrations.0008_tokens_of_machines")
    migration.belong_to_nobody(apps, None)
    owned = set(ApiToken.objects.exclude(owner=None).values_list("pk", flat=True))
    assert owned == {token.pk for token in (made["viewer"], personal) if token}


def test_a_token_is_ended_by_its_owner_or_an_administrator_and_the_trail_says_whose_it_was(world: World) -> None:
    token, _ = issue_token(
        actor=world.people["operator"],
        name="of the operator",
        scopes=[Scope.READ],
        owner=world.user("operator"),
        days=7,
    )
    issued = AuditEvent.objects.get(name="token.issued", subject=f"token:{token.pk}")
    assert token.expires_at is not None
    assert issued.data.pop("expires")[:16] == token.expires_at.isoformat()[:16]
    assert issued.data == {"name": "of the operator", "scopes": ["read"], "owner": "operator", "server": ""}
    for who in ("viewer", "approver"):
        with pytest.raises(NotAllowed):
            revoke_token(actor=world.people[who], token=token)
    token.refresh_from_db()
    assert token.revoked_at is None
    for _ in range(2):
        revoke_token(actor=world.people["operator"], token=token)
    event = AuditEvent.objects.get(name="token.revoked", subject=f"token:{token.pk}")
    assert (event.actor, event.data) == ("operator", {"name": "of the operator", "owner": "operator"})


def test_what_is_issued_is_on_record_with_its_maker_and_where_it_holds(world: World) -> None:
    administrator, server = world.people["administrator"], world.servers["production"]
    for asked, where, named in (
        ({"environment": world.test}, "test", ""),
        ({"server": server, "scopes": [Scope.HEARTBEAT]}, "production", str(server)),
        ({}, "", ""),
    ):
        token, _ = issue_token(actor=administrator, name="x", **{"scopes": [Scope.METRICS], "days": None, **asked})  # type: ignore[arg-type]  # the table writes words
        event = AuditEvent.objects.get(name="token.issued", subject=f"token:{token.pk}")
        assert (token.created_by, event.actor, event.environment) == ("administrator", "administrator", where)
        assert (event.data["server"], event.data["owner"], event.data["expires"]) == (named, "", None)
        revoke_token(actor=administrator, token=token)
        revoked = AuditEvent.objects.get(name="token.revoked", subject=f"token:{token.pk}")
        assert revoked.environment == (where if "environment" in asked else "")


def test_use_is_noted_of_the_token_that_was_used_once_a_minute(world: World) -> None:
    used, other = (hand_token(world.user("operator"), name) for name in ("used", "other"))
    assert authenticate(used) is not None
    first = ApiToken.objects.get(name="used").last_used_at
    assert first is not None
    assert authenticate(used) is not None
    assert ApiToken.objects.get(name="used").last_used_at == first
    ApiToken.objects.filter(name="used").update(last_used_at=first - timedelta(seconds=61))
    assert authenticate(used) is not None
    noted = ApiToken.objects.get(name="used").last_used_at
    assert noted is not None
    assert noted > first
    assert ApiToken.objects.get(name="other").last_used_at is None
    assert authenticate(f"{other}x") is None


def test_whoever_may_do_nothing_is_told_that_it_takes_a_role(world: World) -> None:
    for who, hint in (("none", "Without a role nobody may do anything."), ("viewer", "Choose from metrics, read.")):
        with pytest.raises(InvalidRequest) as refused:
            issue_token(actor=world.people["administrator"], name="x", scopes=[Scope.RELEASE], owner=world.user(who))
        assert (refused.value.reason, refused.value.hint) == ("unusable_scope", hint)
        assert refused.value.message == f"{who} could not use the scope release."
