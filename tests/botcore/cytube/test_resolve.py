"""Where the socket server is: asked anew each time, and never trusted to make sense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from botcore.cytube.resolve import socket_server
from botcore.errors import ChannelRefused, SessionError, Unreachable
from sandbox.cytube import CytubeServer, ServerConfig
from tests.botcore.running import running, settings_for, until


@asynccontextmanager
async def site(body: str | bytes, status: int = 200, *, silence: float = 0.0) -> AsyncIterator[str]:
    """A site whose every socketconfig is this."""

    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(silence)
        return web.Response(body=body, status=status)

    app = web.Application()
    app.router.add_get("/socketconfig/{name}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(domain: str, timeout: float = 5.0) -> str:
    async with aiohttp.ClientSession() as http:
        return await socket_server(http, domain, "test-rosey", timeout=timeout)


async def test_a_secure_server_is_preferred() -> None:
    servers = [{"url": "http://a", "secure": False}, {"url": "https://b", "secure": True}]
    async with site(json.dumps({"servers": servers})) as domain:
        assert await ask(domain) == "https://b"


async def test_without_a_secure_one_the_first_is_taken() -> None:
    servers = [{"url": "http://a", "secure": False}, {"url": "http://b"}]
    async with site(json.dumps({"servers": servers})) as domain:
        assert await ask(domain) == "http://a"


async def test_an_invalid_channel_name_is_a_refusal_and_no_outage() -> None:
    async with site('{"error": "x"}', 404) as domain:
        with pytest.raises(ChannelRefused):
            await ask(domain)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"<html>", 200),
        (b"[]", 200),
        (b"null", 200),
        (b"5", 200),
        (b'{"servers": []}', 200),
        (b'{"servers": [5]}', 200),
        (b'{"servers": {"url": 1}}', 200),
        (b'{"servers": [{"url": 1}]}', 200),
        (b'{"servers": [{"url": "file:///etc/passwd"}]}', 200),
        (b"[" * 100_000, 200),
        (b"\xff\xfe", 200),
        (b"{}", 500),
        (b"{}", 302),
        (b"{}", 503),
    ],
)
async def test_nonsense_is_an_outage(body: bytes, status: int) -> None:
    async with site(body, status) as domain:
        with pytest.raises(Unreachable):
            await ask(domain)


async def test_silence_has_a_deadline() -> None:
    async with site("{}", silence=5) as domain:
        with pytest.raises(Unreachable, match="did not answer within"):
            await ask(domain, 0.2)


async def test_a_site_that_is_away_is_an_outage() -> None:
    with pytest.raises(SessionError):
        await ask("http://127.0.0.1:9")


async def test_a_channel_that_moves_is_followed(server: CytubeServer, tmp_path: Path) -> None:
    """The old bot never asked again where the socket server was."""
    moved = {"url": server.url}

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"servers": [{"url": moved["url"], "secure": False}]})

    app = web.Application()
    app.router.add_get("/socketconfig/{name}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = settings_for(server, tmp_path).model_copy(
        update={"domain": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    )
    async with CytubeServer(ServerConfig(login_cost=4)) as other, running(settings, fast=True) as one:
        await one.in_room()
        moved["url"] = other.url
        await server.stop()
        await until(lambda: other.users)
        await one.in_room()
    await runner.cleanup()
