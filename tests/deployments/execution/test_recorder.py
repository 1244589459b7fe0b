"""What a server says is stored within bounds, whatever it says."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.core.masking import Mask
from deployments.execution import recorder as module
from deployments.execution.claims import Claimed, claim
from deployments.execution.recorder import Recorder
from deployments.execution.steps import MOST_STEPS
from deployments.lifecycle import Status
from deployments.models import Deployment, LogLine, Server, Step, Target
from deployments.requests.approvals import approve
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]


def claimed_on(world: World, environment: str = "production", more: int = 0) -> Claimed:
    """A deployment in a worker's hands, to one server and `more`."""
    row = world.request(environment=environment)
    if environment == "production":
        approve(actor=world.people["approver"], deployment=row)
    claimed = claim(row.pk)
    assert claimed is not None
    for number in range(more):
        server = Server.objects.create(name=f"more-{number}", environment=row.environment, host=f"192.0.2.{number}")
        claimed.deployment.targets.create(server=server, order=9)
    return claimed


def stored(world: World, batches: list[list[dict[str, Any]]], environment: str = "production") -> list[str]:
    claimed = claimed_on(world, environment)
    target = claimed.deployment.targets.get()
    recorder = Recorder(claimed.deployment, claimed.token)
    for batch in batches:
        recorder._store([(target, json.dumps(record)) for record in batch])
    return list(LogLine.objects.filter(target=target).order_by("id").values_list("text", flat=True))


def lines(first: int, last: int) -> list[dict[str, Any]]:
    return [{"kind": "log", "step": "stage", "text": f"line {number}"} for number in range(first, last + 1)]


def test_the_beginning_and_the_end_of_a_step_are_kept_and_the_rest_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_HEAD", 3)
    monkeypatch.setattr(module, "LOG_TAIL", 5)
    said = stored(world, [lines(1, 4), lines(5, 20), lines(21, 22), lines(23, 100)])
    assert said == [
        *(f"line {number}" for number in range(1, 4)),
        "(92 lines are left out here)",
        *(f"line {number}" for number in range(96, 101)),
    ]


def test_what_the_agent_has_left_out_already_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_HEAD", 3)
    monkeypatch.setattr(module, "LOG_TAIL", 5)
    note = {"kind": "log", "step": "stage", "text": "(80 lines are left out here)", "left_out": 80}
    said = stored(world, [[*lines(1, 10), note, *lines(91, 94)], lines(95, 100)])
    assert said[3:5] == ["(92 lines are left out here)", "line 96"]


def test_what_was_counted_and_cut_once_is_cut_again_with_the_next_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between head and tail stands one line, which counts: never two, and never one too many."""
    monkeypatch.setattr(module, "LOG_HEAD", 3)
    monkeypatch.setattr(module, "LOG_TAIL", 5)
    kept = ["line 1", "line 2", "line 3"]
    assert stored(world, [lines(1, 9)]) == [f"line {number}" for number in range(1, 10)], "nine fit"
    said = stored(world, [lines(1, 9), lines(10, 10), lines(11, 11)], "test")
    assert said == [*kept, "(3 lines are left out here)", *(f"line {number}" for number in range(7, 12))]


def test_the_last_servers_verification_is_the_deployments_and_begins_once(world: World) -> None:
    claimed = claimed_on(world, more=1)
    first, last = claimed.deployment.targets.order_by("pk")
    recorder = Recorder(claimed.deployment, claimed.token)

    def status_after(target: Target, **record: str) -> str:
        recorder._store([(target, json.dumps({"kind": "step", "step": "verify", "state": "begin", **record}))])
        claimed.deployment.refresh_from_db()
        return claimed.deployment.status

    assert status_after(first) == Status.RUNNING, "another one follows"
    assert status_after(last, step="restart") == Status.RUNNING
    assert status_after(last, state="ok") == Status.RUNNING
    with CaptureQueriesContext(connection) as queries:
        assert status_after(last) == Status.VERIFYING
    began = len(queries)
    with CaptureQueriesContext(connection) as queries:
        assert status_after(last) == Status.VERIFYING
    assert len(queries) < began, "what has begun is not begun again"


def test_a_flood_is_stored_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 3)
    claimed = claimed_on(world)
    recorder = Recorder(claimed.deployment, claimed.token)
    for number in range(7):
        recorder.say(f"line {number}")
    taken = [recorder._take() for _ in range(3)]
    assert [(len(batch), stopping) for batch, stopping in taken] == [(3, False), (3, False), (1, False)]


def test_a_step_that_fits_is_kept_whole(world: World) -> None:
    assert len(stored(world, [lines(1, 2200)])) == 2200


def test_a_line_is_cut(world: World) -> None:
    assert len(stored(world, [[{"kind": "log", "step": "stage", "text": "x" * 1_000_000}]])[0]) == 4000


def test_steps_without_end_are_a_bounded_number_of_rows_and_lines(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_HEAD", 3)
    monkeypatch.setattr(module, "LOG_TAIL", 5)
    invented = [
        {"kind": kind, "step": f"s{number}", "state": state, "text": "x", "facts": {"a": ["y" * 1000] * 140}}
        for number in range(100)
        for kind, state in (("step", "begin"), ("log", ""), ("step", "ok"), ("step", "ok"))
    ]
    again = [{"kind": "step", "step": "s1", "state": state} for _ in range(100) for state in ("begin", "ok")]
    said = stored(world, [invented, again])
    assert Step.objects.count() == MOST_STEPS
    assert len(said) <= MOST_STEPS + 10
    assert sum(len(json.dumps(step.facts)) for step in Step.objects.all()) < 10_000
    assert "bytes" in Step.objects.filter(state="ok")[0].facts["left_out"]


def test_what_many_servers_say_costs_no_more_statements_than_what_one_says(world: World) -> None:
    row = world.request()
    approve(actor=world.people["approver"], deployment=row)
    claimed = claim(row.pk)
    assert claimed is not None
    first = claimed.deployment.targets.select_related("server").get()
    servers = [Server(name=f"more-{number}", environment=world.test, host=f"192.0.2.{number}") for number in range(5)]
    many = [
        first,
        *(claimed.deployment.targets.create(server=server, order=9) for server in Server.objects.bulk_create(servers)),
    ]
    counts = []
    for number, targets in enumerate(([first], many)):
        recorder = Recorder(claimed.deployment, claimed.token)
        said = [
            {"kind": "log", "text": "a"},
            *({"kind": "step", "step": f"s{number}", "state": s} for s in ("begin", "ok")),
        ]
        batch = [(each, {**record, "seq": 10 * number + seq}) for each in targets for seq, record in enumerate(said, 1)]
        with CaptureQueriesContext(connection) as queries:
            recorder._store([(each, json.dumps(record)) for each, record in batch])
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert Step.objects.filter(name="s1", state="ok").count() == len(many)
    assert set(Target.objects.values_list("journal_seq", flat=True)) == {13}


def test_a_secret_that_was_cut_off_is_masked_too() -> None:
    mask = Mask([("token", "correct horse battery")])
    assert mask.cut_off("It began with: correct horse battery correct horse ba") == (
        "It began with: [secret token] [secret token]"
    )
    assert mask.cut_off("nothing of it") == "nothing of it"


def test_a_line_of_the_portals_own_is_with_its_server_or_with_none_and_is_stored_before_the_end(world: World) -> None:
    claimed = claimed_on(world)
    target = claimed.deployment.targets.get()
    recorder = Recorder(claimed.deployment, claimed.token)
    before = timezone.now()
    recorder.say("Connecting.", target=target)
    recorder.say("Waiting.")
    after, taken = timezone.now(), recorder._take()[0]
    recorder._store(taken)
    assert all(before <= at <= after for at in LogLine.objects.values_list("at", flat=True)), "when it was said"
    rows = list(LogLine.objects.order_by("id").values_list("target", "stream", "text", "step"))
    assert rows == [(target.pk, "portal", "Connecting.", ""), (None, "portal", "Waiting.", "")]


def test_what_came_live_and_again_with_the_journal_is_stored_once(world: World) -> None:
    claimed = claimed_on(world, more=1)
    first, other = claimed.deployment.targets.order_by("pk")

    def said(seq: int) -> str:
        return json.dumps({"kind": "log", "text": f"line {seq}", "seq": seq})

    recorder = Recorder(claimed.deployment, claimed.token)
    recorder._stored |= recorder._store([(first, said(1)), (first, said(2)), (first, said(2)), (other, said(1))])
    recorder._store([(first, said(1)), (first, said(2)), (first, said(3)), (other, said(2))])
    later = Recorder(claimed.deployment, claimed.token)
    later._store([(first, said(2)), (first, said(3)), (first, said(4))])
    texts = list(LogLine.objects.filter(target=first).order_by("id").values_list("text", flat=True))
    assert texts == ["line 1", "line 2", "line 3", "line 4"]
    assert list(LogLine.objects.filter(target=other).order_by("id").values_list("text", flat=True)) == [
        "line 1",
        "line 2",
    ]
    assert list(Target.objects.order_by("pk").values_list("journal_seq", flat=True)) == [4, 2]


def test_a_lease_is_renewed_while_the_deployment_is_ours_and_else_it_is_lost(world: World) -> None:
    claimed = claimed_on(world)
    recorder = Recorder(claimed.deployment, claimed.token)
    rows = Deployment.objects.filter(pk=claimed.deployment.pk)
    rows.update(lease_until=timezone.now())
    recorder._renew()
    held = rows.get().lease_until
    assert held is not None
    assert held > timezone.now() + module.LEASE / 2
    assert not recorder.lost.is_set()
    rows.update(claim=uuid4())
    recorder._renew()
    assert recorder.lost.is_set()
    assert rows.get().lease_until == held
