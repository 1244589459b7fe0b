"""A recorder at work while its database is away, its lease runs, or a server sends what cannot be stored."""

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone

from deployments.execution import recorder as module
from deployments.execution.claims import Claimed, claim
from deployments.execution.recorder import Item, Recorder
from deployments.lifecycle import StepState
from deployments.models import Deployment, LogLine, Step, Target
from tests.deployments.world import World
from tests.fixtures.scripted_server import until

Store = Callable[[Recorder, list[Item]], dict[int, int]]


@pytest.fixture
def claimed(transactional_db: None, world: World) -> Claimed:
    found = claim(world.request(environment="test").pk)
    assert found is not None
    return found


def instead(monkeypatch: pytest.MonkeyPatch, store: Callable[[Store, Recorder, list[Item]], dict[int, int]]) -> None:
    """A batch is stored in this way; it is given the usual one."""
    usual = Recorder._store
    monkeypatch.setattr(Recorder, "_store", lambda recorder, batch: store(usual, recorder, batch))


def texts() -> list[str]:
    return list(LogLine.objects.order_by("id").values_list("text", flat=True))


def test_what_arrives_while_the_database_is_away_is_stored_once_when_it_is_back(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = claimed.deployment.targets.get()
    undone: list[dict[int, int]] = []

    def away(usual: Store, recorder: Recorder, batch: list[Item]) -> dict[int, int]:
        seen = usual(recorder, batch)
        if len(undone) < 2:
            undone.append(seen)
            raise OperationalError("the server closed the connection unexpectedly")
        return seen

    instead(monkeypatch, away)
    with Recorder(claimed.deployment, claimed.token) as recorder:
        recorder.record(target, {"kind": "step", "step": "stage", "state": "begin", "seq": 1})
        recorder.record(target, {"kind": "log", "step": "stage", "text": "one", "seq": 2})
        recorder.flush()
        recorder.record(target, {"kind": "log", "step": "stage", "text": "one", "seq": 2})
        recorder.record(target, {"kind": "log", "step": "stage", "text": "two", "seq": 3})
        recorder.record(target, {"kind": "step", "step": "stage", "state": "ok", "seq": 4})
        recorder.flush()
        assert texts() == ["one", "two"]
    assert len(undone) == 2
    assert [(step.name, step.state) for step in Step.objects.all()] == [("stage", StepState.OK)]
    assert Target.objects.get(pk=target.pk).journal_seq == 4


def test_a_database_that_stays_away_holds_no_worker_for_ever(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def away(usual: Store, recorder: Recorder, batch: list[Item]) -> dict[int, int]:
        tried.append(len(batch))
        raise OperationalError("nobody there")

    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.5)
    instead(monkeypatch, away)
    with (
        caplog.at_level(logging.ERROR, logger=module.__name__),
        Recorder(claimed.deployment, claimed.token) as recorder,
    ):
        recorder.say("one")
        until(lambda: len(tried) > 1)
    assert not recorder._thread.is_alive()
    assert [record.getMessage() for record in caplog.records] == [
        f"deployment {claimed.deployment.pk}: the database stayed away"
    ]
    assert set(tried) == {1}, "the same again"


def test_what_cannot_be_stored_takes_nothing_else_with_it(claimed: Claimed, caplog: pytest.LogCaptureFixture) -> None:
    target = claimed.deployment.targets.get()
    with Recorder(claimed.deployment, claimed.token) as recorder:
        recorder.say("before")
        recorder.flush()
        recorder.record(target, {"kind": "step", "seq": 1})
        recorder.flush()
        recorder.say("after")
    assert texts() == ["before", "after"]
    assert "lines could not be stored" in caplog.text


def lease(claimed: Claimed) -> timedelta:
    """How long it still is."""
    until = Deployment.objects.get(pk=claimed.deployment.pk).lease_until
    assert until is not None
    return until - timezone.now()


def test_its_lease_is_renewed_also_while_nothing_is_said(claimed: Claimed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.05)
    rows = Deployment.objects.filter(pk=claimed.deployment.pk)
    with Recorder(claimed.deployment, claimed.token) as recorder:
        rows.update(lease_until=timezone.now())
        until(lambda: lease(claimed) > module.LEASE / 2)
        assert not recorder.lost.is_set()
        rows.update(claim=uuid4(), lease_until=timezone.now())
        assert recorder.lost.wait(60)
    assert lease(claimed) <= timedelta(), "who has it now renews it"


def test_nobody_waits_for_a_batch_that_is_gathered_while_somebody_wants_it_stored(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 3600.0)
    with Recorder(claimed.deployment, claimed.token) as recorder:
        recorder.say("one")
        flushed = threading.Thread(target=recorder.flush)
        flushed.start()
        flushed.join(30)
        assert not flushed.is_alive()
        assert texts() == ["one"]
        recorder.say("two")
    assert texts() == ["one", "two"], "the end waits for nothing"


def test_of_a_flood_everything_is_stored_in_its_order(claimed: Claimed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 3)
    said = [f"line {number}" for number in range(10)]
    with Recorder(claimed.deployment, claimed.token) as recorder:
        for line in said:
            recorder.say(line)
    assert texts() == said
