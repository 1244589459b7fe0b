"""Wherever a person writes something, it is one line that is what it looks like; notifications get no forged lines."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from alerting.acknowledgements import acknowledge
from alerting.models import Alert
from alerting.silences import Wanted, silence
from deployments.access.tokens import issue_token
from deployments.core.actors import shell_actor, system_actor
from deployments.core.texts import checked, one_line
from deployments.environments.locks import lock_environment, unlock_environment
from deployments.environments.policies import change_policy, decide_policy_change
from deployments.models import AuditEvent, Deployment, NotificationChannel, NotificationDelivery, Role, Scope
from deployments.notifications import messages
from deployments.notifications.channels import save_channel
from deployments.people.accounts import add_person
from deployments.requests.approvals import approve, reject, review_break_glass
from deployments.requests.bake import report_alert
from deployments.requests.requests import request_deployment
from deployments.requests.rollbacks import request_rollback
from engine.errors import InvalidRequest
from tests.deployments.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")
HARMFUL = ["\x1b[2Jx", "a\x00b", "a\x08b", "a\x7fb", "a\x9bb", "a\u202eb", "a\u2066b\u2069", "a\ud800b"]
BREAKS = ["one\ntwo", "one\r\ntwo", "one\u2028two", "one\u2029two", "one\x85two", "one\x0btwo", "one\t\n two"]


def _policy(world: World, text: str) -> None:
    change = change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=0,
        approval_hours=24,
        reason="x",
    )
    assert change is not None
    decide_policy_change(actor=world.people["approver"], change=change, approve=True, comment=text)


def _unlock(world: World, text: str) -> None:
    lock_environment(actor=world.people["operator"], environment=world.test, reason="x")
    unlock_environment(actor=world.people["operator"], environment=world.test, reason=text)


def _rollback(world: World, text: str) -> None:
    world.succeeded(world.releases[0])
    world.succeeded(world.releases[1])
    request_rollback(actor=world.people["operator"], environment=world.production, reason=text)


def _acknowledge(world: World, text: str) -> None:
    firing = {"fingerprint": "ab", "name": "BotDown", "severity": "critical", "status": Alert.Status.FIRING}
    alert = Alert.objects.create(**firing, environment=world.production, starts_at=timezone.now())
    acknowledge(actor=world.people["operator"], alert=alert, comment=text, lasting=timedelta(hours=1))


def _channel(world: World, text: str) -> None:
    values: dict[str, Any] = {
        "name": text,
        "url": "json://localhost/x",
        "environment": None,
        "events": [],
        "enabled": True,
    }
    save_channel(actor=world.people["administrator"], channel=None, values=values)


def _person(world: World, text: str) -> None:
    add_person(
        actor=world.people["administrator"],
        username="x",
        roles=[Role.VIEWER],
        first_name=text,
    )


PLACES: dict[str, Callable[[World, str], object]] = {
    "request": lambda world, text: request_deployment(
        actor=world.people["operator"], release=world.releases[1], environment=world.production, reason=text
    ),
    "break-glass": lambda world, text: (
        world.request(break_glass=True)
        and request_deployment(
            actor=world.people["operator"], release=world.releases[1], environment=world.test, reason=text
        )
    ),
    "rollback": _rollback,
    "approve": lambda world, text: approve(actor=world.people["approver"], deployment=world.request(), comment=text),
    "reject": lambda world, text: reject(actor=world.people["approver"], deployment=world.request(), comment=text),
    "review": lambda world, text: review_break_glass(
        actor=world.people["approver"], deployment=world.request(break_glass=True), comment=text
    ),
    "lock": lambda world, text: lock_environment(actor=world.people["operator"], environment=world.test, reason=text),
    "unlock": _unlock,
    "policy": lambda world, text: change_policy(
        actor=world.people["administrator"],
        environment=world.production,
        approvals_required=2,
        approval_hours=24,
        reason=text,
    ),
    "policy decision": _policy,
    "acknowledgement": _acknowledge,
    "channel": _channel,
    "person": _person,
    "token": lambda world, text: issue_token(
        actor=world.people["operator"], name=text, scopes=[Scope.READ], owner=world.user("operator")
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", HARMFUL)
def test_hidden_characters_are_refused_everywhere(text: str, place: str, world: World) -> None:
    with pytest.raises(InvalidRequest) as refused:
        PLACES[place](world, text)
    assert refused.value.reason == "hidden_character"
    assert "U+" in refused.value.message


@pytest.mark.parametrize("place", PLACES)
def test_line_breaks_are_spaces_everywhere(place: str, world: World) -> None:
    PLACES[place](world, "fine\r\nApproved by: everybody")
    kept = str(list(AuditEvent.objects.values_list("data", flat=True)))
    assert "\\n" not in kept
    assert "\\r" not in kept


def test_a_silence_takes_no_hidden_characters(world: World) -> None:
    for text in HARMFUL:
        with pytest.raises(InvalidRequest) as refused:
            silence(actor=world.people["operator"], wanted=Wanted("BotDown"), reason=text, lasting=timedelta(hours=1))
        assert refused.value.reason == "hidden_character"


@pytest.mark.parametrize("text", BREAKS)
def test_breaks_of_every_kind_become_one_space(text: str) -> None:
    assert checked(text) == one_line(text) == "one two"


def test_what_machines_say_is_named_and_not_refused() -> None:
    assert one_line("a\x1b[2J\u202eb") == "a[U+001B][2J[U+202E]b"
    assert one_line("žluťoučký 🎲 кость") == "žluťoučký 🎲 кость"
    assert str(shell_actor("root\nevil")) == "shell:root evil"


def test_notifications_have_the_lines_that_we_wrote_and_no_others(world: World) -> None:
    """Also for a reason that was stored before anything was checked."""
    NotificationChannel.objects.create(name="x", url="json://localhost/x", events=[], enabled=True)
    row = world.request()
    NotificationDelivery.objects.all().delete()
    Deployment.objects.filter(pk=row.pk).update(reason="fine\nApproved by: everybody\x1b[1A")
    row.refresh_from_db()
    messages.notify(row, "approval_wanted")
    body = NotificationDelivery.objects.get().body
    assert "everybody[U+001B][1A" in next(line for line in body.splitlines() if line.startswith("Reason: fine"))
    assert len(body.splitlines()) == 4


def test_an_alert_with_line_breaks_still_goes_back(world: World) -> None:
    world.succeeded(world.releases[0])
    baking = world.succeeded(world.releases[1])
    Deployment.objects.filter(pk=baking.pk).update(bake_until=timezone.now() + timedelta(minutes=5))
    caused = report_alert(
        actor=system_actor("alertmanager"),
        environment=world.production,
        name="BotDown",
        severity="critical",
        began_at=timezone.now(),
        summary="gone\nApproved by: everybody\x1b[2J",
    )
    assert caused is not None
    assert caused.reason.endswith("gone Approved by: everybody[U+001B][2J")
