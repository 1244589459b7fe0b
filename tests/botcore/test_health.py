"""Health: eight fields, the truth, and an answer even when the event loop is stuck."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from botcore.errors import PortUnusable
from botcore.health import document
from botcore.health.metrics import render
from botcore.health.server import HealthServer, header
from sandbox.cytube import CytubeServer
from tests.botcore.running import NAME, Running, running, settings_for, until

FIELDS = {"status", "connected", "channel", "uptime", "version", "user_count", "requests", "errors"}
PROMISED = """bot_connected bot_connection_uptime_seconds bot_uptime_seconds bot_reconnects bot_users bot_events
bot_commands bot_errors bot_requests bot_event_latency_seconds bot_loop_lag_seconds bot_outbound_queue_length
process_resident_memory_bytes process_start_time_seconds"""
DOCS = Path(__file__).parents[2] / "docs" / "bot.md"


def get(port: int, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture
async def health(bot: Running) -> AsyncIterator[HealthServer]:
    server = HealthServer("127.0.0.1", 0, bot.bot.snapshot)
    yield server
    await asyncio.to_thread(server.close)


async def test_a_connected_bot_answers_200_with_exactly_eight_fields(bot: Running, health: HealthServer) -> None:
    status, headers, body = await asyncio.to_thread(get, health.port, "/api/health")
    answer = json.loads(body)
    assert status == 200
    assert set(answer) == FIELDS
    assert answer["status"] == "connected"
    assert answer["connected"] is True
    assert answer["channel"] == "test-rosey"
    assert answer["version"] == (Path(__file__).parents[2] / "VERSION").read_text().strip()
    assert answer["uptime"] > 0
    assert headers["X-Release"] == "unreleased"
    assert "X-Reason" not in headers


async def test_a_disconnected_bot_answers_503_with_the_same_fields_and_the_reason(
    server: CytubeServer, bot: Running, health: HealthServer
) -> None:
    await server.stop()
    await until(lambda: not bot.connected)
    status, headers, body = await asyncio.to_thread(get, health.port, "/api/health")
    answer = json.loads(body)
    assert status == 503
    assert set(answer) == FIELDS
    assert (answer["status"], answer["connected"], answer["user_count"]) == ("disconnected", False, 0)
    assert headers["X-Reason"]


async def test_user_count_is_that_of_cytube(server: CytubeServer, bot: Running, health: HealthServer) -> None:
    await until(lambda: bot.bot.snapshot().document()["user_count"] == 1)


async def test_the_process_uptime_outlives_a_reconnect_and_that_of_the_connection_does_not(
    server: CytubeServer, tmp_path: Path
) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        since = one.bot.connection.status.since
        uptime = one.bot.snapshot().document()["uptime"]
        server.drop_connections()
        await until(lambda: one.bot.telemetry.sessions == 2)
        assert one.bot.connection.status.since > since
        assert one.bot.snapshot().document()["uptime"] >= uptime


async def test_it_answers_while_the_event_loop_is_stuck_and_reports_the_lag(
    bot: Running, health: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "STUCK_SECONDS", 0.5)
    seen: list[tuple[int, dict[str, str], bytes]] = []

    def ask_while_stuck() -> None:
        time.sleep(0.9)  # the loop below is blocked for longer: this is the condition, not a wait for one
        seen.append(get(health.port, "/api/health"))
        seen.append(get(health.port, "/metrics"))

    asking = asyncio.get_running_loop().run_in_executor(None, ask_while_stuck)
    time.sleep(1.5)
    await asking
    (status, headers, _), (_, _, metrics) = seen
    assert status == 503
    assert "event loop has been stuck" in headers["X-Reason"]
    lag = next(line for line in metrics.decode().splitlines() if line.startswith("bot_loop_lag_seconds "))
    assert float(lag.split()[1]) > 0.4
    await until(lambda: bot.connected)


async def test_livez_is_about_the_process_and_not_about_cytube(
    server: CytubeServer, bot: Running, health: HealthServer
) -> None:
    await server.stop()
    await until(lambda: not bot.connected)
    assert (await asyncio.to_thread(get, health.port, "/livez"))[0] == 200


async def test_metrics_are_well_formed_and_documented(bot: Running, health: HealthServer) -> None:
    status, headers, body = await asyncio.to_thread(get, health.port, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    for name in PROMISED.split():
        assert name in families, name
    assert families["bot_connected"].samples[0].value == 1
    page = DOCS.read_text(encoding="utf-8")
    for family in families.values():
        if family.name.startswith("bot_"):
            name = family.name + ("_total" if family.type == "counter" else "_info" if family.type == "info" else "")
            assert f"`{name}`" in page, f"{name} is not in docs/bot.md"


def test_a_header_is_one_line_of_ascii_that_reads() -> None:
    assert header("no\r\nX-Evil: 1 ünï") == "no  X-Evil: 1 uni"
    assert header("“Café” – d’accord, Łódź ²") == '"Cafe" - d\'accord, ?odz 2'
    assert len(header("x" * 1000)) == 300


@pytest.mark.parametrize("reason", ["раз, два", "出ていけ", "ünï\r\nX-Evil: 1", "😀 out"])
async def test_a_reason_in_any_script_arrives_whole(
    server: CytubeServer, bot: Running, health: HealthServer, reason: str
) -> None:
    server.kick(NAME, reason)
    await until(lambda: not bot.connected and "kicked" in bot.bot.snapshot().reason)
    _, headers, _ = await asyncio.to_thread(get, health.port, "/api/health")
    charset, _, value = headers["X-Reason*"].partition("''")
    assert charset == "UTF-8"
    assert urllib.parse.unquote(value).split() == f"The bot was kicked: {reason}.".split()
    assert headers["X-Reason"].startswith("The bot was kicked: ")
    assert headers["X-Reason"].isascii()
    assert "X-Evil" not in headers
    assert "\n" not in urllib.parse.unquote(value)


async def test_a_port_that_is_taken_is_said(bot: Running, health: HealthServer) -> None:
    with pytest.raises(PortUnusable, match="cannot listen"):
        HealthServer("127.0.0.1", health.port, bot.bot.snapshot)
    gc.collect()  # what it left open would be told here, as an error


async def test_requests_and_errors_only_grow(server: CytubeServer, bot: Running) -> None:
    bot.bot.telemetry.failed("handler")
    bot.bot.telemetry.requests += 1
    server.drop_connections()
    await bot.in_room()
    answer = bot.bot.snapshot().document()
    assert (answer["requests"], answer["errors"]) == (1, 1)
    assert b'bot_errors_total{kind="handler"} 1.0' in render(bot.bot.snapshot())
    assert NAME in {user.name for user in bot.bot.snapshot().room.users.values()}
