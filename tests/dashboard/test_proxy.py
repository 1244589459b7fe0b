"""`/api/health`: what a machine reads about a bot."""

import itertools
import json
import multiprocessing
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dashboard.health.document import parse
from dashboard.health.shared_cache import Entry, SharedCache
from dashboard.models import BotState
from dashboard.services import heartbeats, proxy
from deployments.models import Environment, Server
from tests.dashboard.asking import ask_for
from tests.dashboard.conftest import DOCUMENT, Script, StandIn

Enrol = Callable[..., Server]


def beat(server: Server, ago: float = 0.0, **changes: object) -> BotState:
    document = parse(json.dumps(DOCUMENT | changes).encode())
    now = timezone.now() - timedelta(seconds=ago)
    return heartbeats.accept(server=server, heartbeat=heartbeats.Heartbeat(document, "1.0.0-abc", now), now=now)


def test_a_connected_bot_is_passed_on_with_its_eight_fields(anyone: Client, enrol: Enrol, stand_in: StandIn) -> None:
    enrol(port=stand_in.port)
    stand_in.script = stand_in.says(DOCUMENT, headers="X-Release: 1.0.0-abc\r\n")
    answer = anyone.get("/api/health/prod-1")
    assert answer.status_code == 200
    assert answer.json() == DOCUMENT
    assert answer["X-Source"] == "bot"
    assert answer["X-Release"] == "1.0.0-abc"


def test_api_health_is_productions_first_bot(anyone: Client, enrol: Enrol, stand_in: StandIn, db: None) -> None:
    enrol("test-1", environment=Environment.objects.get(name="test"), port=1)
    enrol("portal-1", roles=["portal"], port=1)
    enrol("prod-2", order=2, port=1)
    enrol("prod-1", order=1, port=stand_in.port)
    assert anyone.get("/api/health").json() == DOCUMENT


def test_a_bot_outside_its_room_is_503_with_its_own_reason(anyone: Client, enrol: Enrol, stand_in: StandIn) -> None:
    enrol(port=stand_in.port)
    away = DOCUMENT | {"status": "disconnected", "connected": False}
    stand_in.script = stand_in.says(away, "503 Service Unavailable", "X-Reason: kicked\r\n")
    answer = anyone.get("/api/health/prod-1")
    assert (answer.status_code, answer.json(), answer["X-Reason"]) == (503, away, "kicked")


def test_a_bot_out_of_reach_is_told_by_its_last_heartbeat(anyone: Client, enrol: Enrol, stand_in: StandIn) -> None:
    beat(enrol(port=stand_in.port), ago=7)
    stand_in.stop()
    answer = anyone.get("/api/health/prod-1")
    assert answer.status_code == 503
    assert answer.json() == DOCUMENT | {"status": "disconnected", "connected": False}
    assert answer["X-Source"] == "heartbeat"
    assert 7 <= int(answer["Age"]) <= 9
    assert answer["X-Reason"]


def test_a_bot_never_heard_of_is_503_with_empty_fields(anyone: Client, enrol: Enrol) -> None:
    enrol()
    answer = anyone.get("/api/health/prod-1")
    assert answer.status_code == 503
    assert set(answer.json()) == set(DOCUMENT)
    assert answer["X-Source"] == "none"
    assert "deployed" in answer["X-Reason"]


@pytest.mark.parametrize(
    "lie",
    [
        lambda bot: bot.says(DOCUMENT | {"user_count": "many"}),
        lambda bot: bot.says(b"<html>" + b"x" * 100),
        lambda bot: bot.says(b"x" * 100_000),
        lambda bot: bot.says(b"", "301 Moved Permanently", "Location: http://example.invalid/\r\n"),
        lambda bot: bot.says(DOCUMENT, "503 Service Unavailable"),
        lambda bot: bot.says(DOCUMENT, "500 Internal Server Error"),
        lambda bot: bot.says(DOCUMENT | {"extra": 1}),
    ],
    ids=["types", "html", "huge", "redirect", "contradiction", "error", "extra"],
)
def test_a_bot_that_lies_is_503_with_the_truth_we_have(
    anyone: Client, enrol: Enrol, stand_in: StandIn, lie: Callable[[StandIn], Script]
) -> None:
    beat(enrol(port=stand_in.port))
    stand_in.script = lie(stand_in)
    answer = anyone.get("/api/health/prod-1")
    assert answer.status_code == 503
    assert answer.json() == DOCUMENT | {"status": "disconnected", "connected": False}


@pytest.mark.parametrize("name", ["nobody", "retired-1", "portal-1"])
def test_only_enrolled_bots_are_answered_for(anyone: Client, enrol: Enrol, stand_in: StandIn, name: str) -> None:
    enrol("retired-1", port=stand_in.port, state=Server.State.RETIRED)
    enrol("portal-1", port=stand_in.port, roles=["portal"])
    answer = anyone.get(f"/api/health/{name}")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
    assert stand_in.calls == []


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "http:%2f%2fexample.invalid", "UPPER", "a" * 40, "%00"])
def test_a_name_is_never_an_address(anyone: Client, db: None, name: str) -> None:
    assert anyone.get(f"/api/health/{name}").status_code == 404


def test_a_retired_bot_is_forgotten_within_a_second(anyone: Client, enrol: Enrol, stand_in: StandIn) -> None:
    server = enrol(port=stand_in.port)
    assert anyone.get("/api/health/prod-1").status_code == 200
    Server.objects.filter(pk=server.pk).update(state=Server.State.RETIRED)
    end = time.monotonic() + 60
    while anyone.get("/api/health/prod-1").status_code != 404:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_burst_asks_the_bot_once(anyone: Client, enrol: Enrol, stand_in: StandIn) -> None:
    enrol(port=stand_in.port)
    for _ in range(50):
        assert anyone.get("/api/health/prod-1").status_code == 200
        assert anyone.get("/api/health").status_code == 200
    elapsed = time.monotonic() - stand_in.calls[0]
    assert len(stand_in.calls) <= 1 + elapsed


def test_a_fresh_answer_needs_no_database(
    anyone: Client, enrol: Enrol, stand_in: StandIn, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    enrol(port=stand_in.port)
    anyone.get("/api/health/prod-1")
    with django_assert_num_queries(0):
        anyone.get("/api/health/prod-1")


def test_a_question_that_died_is_not_asked_again_at_once(enrol: Enrol, stand_in: StandIn) -> None:
    beat(enrol(port=stand_in.port))
    with proxy.cache().refresh_lock("prod-1", wait=0) as turn:
        assert turn is not None
        turn.asking(time.monotonic())
    entry = proxy.answer("prod-1")
    assert entry.status == 503
    assert stand_in.calls == []


def test_while_one_asks_the_others_get_the_answer_before(enrol: Enrol, stand_in: StandIn) -> None:
    enrol(port=stand_in.port)
    before = Entry(200, b"{}", {}, time.monotonic() - 2)
    answers = proxy.cache()
    with answers.refresh_lock("prod-1", wait=0):
        answers.write("prod-1", before)
        started = time.monotonic()
        assert proxy.answer("prod-1").body == b"{}"
        assert time.monotonic() - started < 1
    assert stand_in.calls == []


def test_an_answer_from_before_a_reboot_is_old() -> None:
    assert Entry(200, b"", made=time.monotonic() + 1000).age(time.monotonic()) == float("inf")


def test_a_damaged_answer_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "x.answer").write_bytes(b"\x00\x01")
    assert SharedCache(tmp_path).read("x") is None


def test_a_second_is_a_whole_second(tmp_path: Path) -> None:
    with SharedCache(tmp_path).refresh_lock("bot", wait=0) as turn:
        assert turn is not None
        for asked in (100.0000004, 5000.1234564, 3e6 + 1e-7):
            turn.asking(asked)
            assert not turn.may_ask(asked)
            assert not turn.may_ask(asked + 1 - 2e-9 * asked)
            assert turn.may_ask(asked + 1.00001)


def test_processes_together_ask_once_a_second(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    asked: multiprocessing.Queue[float] = context.Queue()
    processes = [context.Process(target=ask_for, args=(tmp_path, 2.3, asked)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    stamps = sorted(asked.get(timeout=1) for _ in range(asked.qsize()))
    assert len(stamps) >= 2
    assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(stamps))
