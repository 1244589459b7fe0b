"""Heartbeats: the portal hears of the bot, and its absence never disturbs the bot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from botcore import heartbeat
from botcore.credentials import Credentials
from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer
from tests.botcore.running import running, secret, settings_for, until

TOKEN = "heartbeat-token"


class Portal:
    """Takes heartbeats as the real one does."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.status = 204
        self.tokens: set[str] = set()
        self.silence = 0.0
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers.get("Authorization", ""))
        self.bodies.append(await request.json())
        self.times.append(time.monotonic())
        await asyncio.sleep(self.silence)
        return web.Response(status=self.status)


@pytest.fixture
async def portal() -> AsyncIterator[Portal]:
    portal = Portal()
    app = web.Application()
    app.router.add_post("/api/v1/heartbeats", portal.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    portal.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield portal
    await runner.cleanup()


def reporting(token: str | None = TOKEN) -> Credentials:
    return Credentials(secret(SANDBOX_PASSWORD), None, secret(token))


def url(portal: Portal) -> str:
    return portal.url


async def test_a_heartbeat_carries_the_health_document_and_the_release(
    server: CytubeServer, tmp_path: Path, portal: Portal
) -> None:
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting()) as one:
        await one.in_room()
        await until(lambda: one.bot.snapshot().response_ms is not None)
        one.bot.heartbeat.changed()
        await until(lambda: any(body["response_ms"] for body in portal.bodies))
    body = next(body for body in portal.bodies if body["response_ms"])
    assert body["health"]["connected"]
    assert set(body) == {"health", "release", "sent_at", "response_ms", "goodbye"}
    assert body["release"] == "unreleased"
    assert body["goodbye"] is False
    assert body["response_ms"] > 0
    assert body["sent_at"].endswith("+00:00")
    assert set(body["health"]) == {
        "status",
        "connected",
        "channel",
        "uptime",
        "version",
        "user_count",
        "requests",
        "errors",
    }
    assert portal.tokens == {f"Bearer {TOKEN}"}


async def test_a_change_is_told_at_once_but_not_more_than_once_a_second(
    server: CytubeServer, tmp_path: Path, portal: Portal
) -> None:
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting(), fast=True) as one:
        await one.in_room()
        await until(lambda: portal.bodies and portal.bodies[-1]["health"]["connected"])
        await server.stop()
        await until(lambda: not portal.bodies[-1]["health"]["connected"], deadline=60)
        await server.start()
        await until(lambda: portal.bodies[-1]["health"]["connected"], deadline=60)
    pauses = [later - earlier for earlier, later in zip(portal.times, portal.times[1:-1], strict=False)]
    assert all(pause > 0.9 for pause in pauses)


async def test_a_stopping_bot_says_goodbye(server: CytubeServer, tmp_path: Path, portal: Portal) -> None:
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting()) as one:
        await one.in_room()
        await until(lambda: portal.bodies)
    assert portal.bodies[-1]["goodbye"] is True
    assert portal.bodies[-1]["health"]["connected"] is False


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_token_is_said_once(
    server: CytubeServer,
    tmp_path: Path,
    portal: Portal,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(heartbeat, "AT_MOST_EVERY", 0.0)
    portal.status = status
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting()) as one:
        await until(lambda: len(portal.bodies) >= 4)
        await one.in_room()
    said = [record.getMessage() for record in caplog.records if "refuses our token" in record.getMessage()]
    assert len(said) == 1
    assert TOKEN not in caplog.text


async def test_while_the_portal_is_away_attempts_get_rarer(
    server: CytubeServer, tmp_path: Path, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "AT_MOST_EVERY", 0.0)
    portal.status = 500
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting()):
        await until(lambda: len(portal.times) >= 5)
    pauses = [later - earlier for earlier, later in zip(portal.times, portal.times[1:], strict=False)]
    assert pauses[3] > 2 * pauses[1]


async def test_while_the_portal_is_away_changes_do_not_hurry(
    server: CytubeServer, tmp_path: Path, portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "AT_MOST_EVERY", 0.0)
    portal.status = 500
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting()) as one:
        await until(lambda: portal.bodies)
        for _ in range(20):
            one.bot.heartbeat.changed()
            await asyncio.sleep(0.01)
        assert len(portal.bodies) == 1


@pytest.mark.parametrize("fault", ["nobody listens", "never answers"])
async def test_without_a_portal_the_bot_works_and_stops_quickly(
    server: CytubeServer, tmp_path: Path, portal: Portal, fault: str
) -> None:
    portal.silence = 30
    address = "http://127.0.0.1:9" if fault == "nobody listens" else url(portal)
    async with running(settings_for(server, tmp_path, portal_url=address), reporting()) as one:
        await one.in_room()
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 3


async def test_without_a_token_nothing_is_sent(server: CytubeServer, tmp_path: Path, portal: Portal) -> None:
    async with running(settings_for(server, tmp_path, portal_url=url(portal)), reporting(None)) as one:
        await one.in_room()
    assert portal.bodies == []


async def test_a_reload_brings_a_new_token_into_use(server: CytubeServer, tmp_path: Path, portal: Portal) -> None:
    settings = settings_for(server, tmp_path, portal_url=url(portal))
    async with running(settings, reporting(None)) as one:
        await one.in_room()
        one.bot.reload(settings, reporting("renewed"))
        await until(lambda: portal.tokens == {"Bearer renewed"})
