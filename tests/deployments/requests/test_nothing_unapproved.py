"""Every way that changes what production runs, by every actor who should not: nothing unapproved begins.

Whatever a way leaves in the table is then handed to a worker, as is and moved to *queued* by hand.
"""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deployments.access.policy import token_actor, user_actor
from deployments.access.tokens import authenticate
from deployments.core.actors import Actor, system_actor
from deployments.drills.drills import drill_rollback
from deployments.execution.claims import claim
from deployments.lifecycle import Status
from deployments.models import Approval, Deployment, Environment, Operation, Server
from deployments.operations.carrying_out import Ending, carry_out
from deployments.operations.data import restore_data
from deployments.operations.one_off import OneOffCommand, run_command
from deployments.operations.requesting import operate
from deployments.requests.approvals import approve
from deployments.requests.bake import report_alert
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.errors import PortalError
from tests.deployments.world import World
from tests.fixtures.records import hand_token

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
Way = Callable[[World, str], None]


def _call(text: str, path: str, **body: Any) -> None:
    headers = {"Authorization": f"Bearer {text}"}
    Client().post(f"/api/v1{path}", json.dumps(body), content_type="application/json", headers=headers)


def _ask(world: World, who: str) -> None:
    request_deployment(actor=_actor(world, who), release=world.releases[1], environment=world.production)


def _ask_and_approve(world: World, who: str) -> None:
    """Also with every token of theirs, and with one that they made for somebody else."""
    _ask(world, who)
    row = Deployment.objects.latest("pk")
    texts = [hand_token(world.user("approver"), "x", maker="requester")]
    if who != "system":
        texts.append(hand_token(world.user("superuser" if who == "superuser" else "requester"), "own"))
    for text in texts:
        _call(text, f"/deployments/{row.pk}/approvals", decision="approved")
    approve(actor=_actor(world, who), deployment=row)


def _roll_back(world: World, who: str) -> None:
    request_rollback(actor=_actor(world, who), environment=world.production, reason="x", to=world.releases[1])


def _roll_back_by_api(world: World, who: str) -> None:
    text = hand_token(world.user("requester"), "own", maker="administrator" if who == "token by another" else "")
    _call(text, "/rollbacks", environment="production", to=world.releases[1].identifier, reason="x")


def _roll_back_by_page(world: World, who: str) -> None:
    address = reverse("admin:deployments_environment_roll_back", args=[world.production.pk])
    world.client("requester").post(address, {"release": world.releases[1].pk, "reason": "x"})


def _roll_back_by_command(world: World, who: str) -> None:
    to = ("--to", world.releases[1].identifier)
    world.command("requester", "rollback", "production", *to, "--reason", "x", "--no-wait")


def _drill(world: World, who: str) -> None:
    drill_rollback(actor=_actor(world, who), environment=world.production, carry_out=lambda row: row)


def _bake(world: World, who: str) -> None:
    Deployment.objects.update(bake_until=timezone.now().replace(year=2999))
    report_alert(
        actor=system_actor("alertmanager"),
        environment=world.production,
        name="BotDown",
        severity="critical",
        began_at=timezone.now(),
        summary="x",
    )


def _bulk(world: World, who: str) -> None:
    _ask(world, who)
    row = Deployment.objects.latest("pk")
    sent = {"action": "bulk_approve", "_selected_action": [row.pk], "confirmed": "1", "comment": ""}
    world.client("approver").post(reverse("admin:deployments_deployment_changelist"), sent)


def _approval_by_hand(world: World, who: str) -> None:
    _ask(world, who)
    row = Deployment.objects.latest("pk")
    Approval.objects.create(deployment=row, actor="approver", decision=Approval.Decision.APPROVED, seal=row.seal)


def _requester_by_hand(world: World, who: str) -> None:
    _approval_by_hand(world, who)
    Deployment.objects.filter(status=Status.AWAITING_APPROVAL).update(requested_by="operator")


def _policy_by_hand(world: World, who: str) -> None:
    """The environment's policy is loosened in its table after the request was sealed."""
    _ask(world, who)
    Environment.objects.filter(name="production").update(approvals_required=0)


def _operate(kind: Operation.Kind) -> Way:
    """What is done to services, while a release waits: also an operation written into the table."""

    def way(world: World, who: str) -> None:
        _ask(world, who)
        server = Server.objects.get(environment=world.production)
        actor = _actor(world, who)
        wanted = {"units": [], "backup": "20260101T000000Z-1", "command": ["id"], "unit": "", "seconds": 5}
        with contextlib.suppress(PortalError):
            if kind == Operation.Kind.RUN:
                run_command(actor=actor, server=server, wanted=OneOffCommand(["id"]))
            elif kind == Operation.Kind.RESTORE:
                restore_data(actor=actor, server=server, backup="20260101T000000Z-1", reason="x")
            else:
                operate(actor=actor, server=server, kind=kind, reason="x")
        for row in Operation.objects.all():
            carry_out(number=row.pk)
        Operation.objects.create(server=server, kind=kind, requested_by="requester", request=wanted, pk=9000)

    return way


WAYS: dict[str, Way] = {
    **{kind.value: _operate(kind) for kind in Operation.Kind},
    "asked": _ask,
    "asked and approved alone": _ask_and_approve,
    "rolled back": _roll_back,
    "rolled back by the API": _roll_back_by_api,
    "rolled back on a page": _roll_back_by_page,
    "rolled back by a command": _roll_back_by_command,
    "drilled": _drill,
    "baked": _bake,
    "approved in bulk": _bulk,
    "approved in the table": _approval_by_hand,
    "asked by another in the table": _requester_by_hand,
    "loosened in the table": _policy_by_hand,
}
WHO = ["one person with every role", "superuser", "own token", "token by another", "switched off", "system"]


def _actor(world: World, who: str) -> Actor:
    person = world.user("superuser" if who == "superuser" else "requester")
    if who == "system":
        return system_actor("tests")
    if who.endswith(("token", "another")):
        token = authenticate(hand_token(person, who, maker="administrator" if who == "token by another" else ""))
        assert token is not None
        return token_actor(token)
    return user_actor(person)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_unapproved_begins(way: str, who: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Operation] = []

    def doer(row: Operation, _hear: object) -> Ending:
        begun.append(row)
        return Ending(Operation.State.SUCCEEDED, "done", "Done.")

    monkeypatch.setattr("deployments.operations.carrying_out.DOERS", dict.fromkeys(Operation.Kind, doer))
    world.succeeded(world.releases[0])
    world.user("administrator").groups.add(Group.objects.get(name="approver"))
    with contextlib.suppress(PortalError):  # refused: what it left behind is looked at all the same
        WAYS[way](world, who)
    if who == "switched off":
        User.objects.filter(username="requester").update(is_active=False)
    for operation in Operation.objects.all():
        carry_out(number=operation.pk)
    assert not [row for row in begun if row.pk == 9000 or row.kind == Operation.Kind.RUN]
    for row in Deployment.objects.exclude(status=Status.SUCCEEDED):
        assert claim(row.pk) is None
    for row in Deployment.objects.filter(status__in=(Status.AWAITING_APPROVAL, Status.SUPERSEDED)):
        Deployment.objects.filter(pk=row.pk).update(status=Status.QUEUED, finished_at=None)
        assert claim(row.pk) is None, "nor when somebody moves the row"
        Deployment.objects.filter(pk=row.pk).update(break_glass=True, status=Status.QUEUED, finished_at=None)
        assert claim(row.pk) is None, "nor when it is called break-glass"


def test_the_same_way_with_consent_does_begin(world: World) -> None:
    """The test above could fail: with a second person's consent the claim is won."""
    row = world.request("requester")
    approve(actor=world.people["approver"], deployment=row)
    assert claim(row.pk) is not None
