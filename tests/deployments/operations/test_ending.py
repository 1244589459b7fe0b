"""A provisioning whose process is gone holds nothing up: people end it, and never one that is being carried out."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from deployments.core import processes
from deployments.execution.claims import claim
from deployments.models import AuditEvent, Deployment, Operation
from deployments.operations.carrying_out import begin, carry_out
from deployments.operations.ending import end_provisioning
from deployments.requests.rollbacks import request_rollback
from engine.errors import Conflict, NotAllowed
from tests.deployments.operations.test_beside_deployments import ask, executions
from tests.deployments.world import World
from tests.fixtures.scripted_server import until

ELSEWHERE = "elsewhere-ffffff:1"


def taken(world: World, *, silent: bool = True) -> Operation:
    """One that a process of another machine has taken; two minutes ago it was heard, or just now."""
    row = begin(ask(world).pk)
    assert row is not None
    heard = timezone.now() - timedelta(minutes=2 if silent else 0)
    Operation.objects.filter(pk=row.pk).update(worker=ELSEWHERE, heard_at=heard)
    row.refresh_from_db()
    return row


def rollback(world: World) -> Deployment:
    for release in world.releases[:2]:
        world.succeeded(release)
    return request_rollback(actor=world.people["operator"], environment=world.production, reason="it burns")


def test_a_rollback_begins_at_once_where_somebody_ends_what_nobody_is_at(world: World) -> None:
    row, back = taken(world), rollback(world)
    assert claim(back.pk) is None
    said = back.log_lines.get().text
    assert f"has not been heard since {row.heard_at:%H:%M} UTC" in said
    assert "`manage.py provision production-1 --end`" in said
    before = executions()
    ended = end_provisioning(actor=world.people["operator"], server=row.server)
    assert (ended.state, ended.outcome) == (Operation.State.LOST, "ended_by_hand")
    assert ELSEWHERE in ended.sentence
    assert executions() > before, "what waits is called"
    assert claim(back.pk) is not None
    event = AuditEvent.objects.get(name="service.provision_lost")
    assert (event.actor, event.data["outcome"]) == ("operator", "ended_by_hand")


def test_who_asks_for_another_one_is_told_how_to_end_it(world: World) -> None:
    taken(world)
    with pytest.raises(Conflict, match="--end"):
        ask(world)


def test_one_that_was_heard_is_being_carried_out(world: World) -> None:
    row, back = taken(world, silent=False), rollback(world)
    assert claim(back.pk) is None
    assert back.log_lines.get().text == f"It waits for the end of {row}, which administrator asked for."
    with pytest.raises(Conflict) as refused:
        end_provisioning(actor=world.people["operator"], server=row.server)
    assert refused.value.reason == "process_lives"
    assert ELSEWHERE in str(refused.value)


def test_so_is_one_whose_process_is_there_on_this_machine(world: World) -> None:
    row = taken(world)
    Operation.objects.update(worker=processes.this_process())
    with pytest.raises(Conflict, match="lives"):
        end_provisioning(actor=world.people["operator"], server=row.server)


@pytest.mark.parametrize("who", ["none", "viewer", "approver", "administrator"])
def test_who_may_end_no_deployment_ends_none(who: str, world: World) -> None:
    row = taken(world)
    with pytest.raises(NotAllowed):
        end_provisioning(actor=world.people[who], server=row.server)


def test_none_is_under_way(world: World) -> None:
    ask(world)
    with pytest.raises(Conflict, match="No provisioning of production-1 is under way"):
        end_provisioning(actor=world.people["operator"], server=world.servers["production"])


def test_the_page_offers_it_and_the_command_does_it(world: World) -> None:
    row, client = taken(world, silent=False), world.client("operator")
    page, end = (reverse(f"admin:deployments_operation_{name}", args=[row.pk]) for name in ("change", "end"))
    assert end not in client.get(page).content.decode(), "while it lives"
    Operation.objects.update(heard_at=timezone.now() - timedelta(minutes=2))
    assert end in client.get(page).content.decode()
    assert end not in world.client("administrator").get(page).content.decode()
    assert "has not been heard since" in client.get(end).content.decode()
    assert client.post(end).status_code == 302
    row.refresh_from_db()
    assert row.state == Operation.State.LOST
    second = taken(world)
    world.command("operator", "provision", "production-1", "--end")
    second.refresh_from_db()
    assert second.outcome == "ended_by_hand"


def test_one_that_was_ended_while_it_worked_does_no_more(
    transactional_db: None, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "HEARD_SECONDS", 0.05)
    row = ask(world)
    refusals: list[str] = []

    def work(row: Operation, hear: Any) -> Any:
        first = Operation.objects.get(pk=row.pk).heard_at
        assert first is not None
        until(lambda: (Operation.objects.get(pk=row.pk).heard_at or first) > first)
        Operation.objects.filter(pk=row.pk).update(state=Operation.State.LOST, outcome="ended_by_hand")
        try:
            for _ in range(6000):
                hear("another thing")
                time.sleep(0.01)
        except Conflict as refused:
            refusals.append(refused.reason)
            raise
        return "done", {}

    monkeypatch.setattr("deployments.operations.carrying_out.provision_as_asked", work)
    done = carry_out(number=row.pk)
    assert (done.state, done.outcome) == (Operation.State.LOST, "ended_by_hand")
    assert refusals == ["ended_meanwhile"]
