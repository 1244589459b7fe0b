"""An old bot, which speaks Engine.IO 3, is served like everybody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer
from tests.sandbox.cytube.conftest import Join


class OldBot:
    """As much of a Socket.IO 2 client as old bots have: packets as text."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @property
    def closed(self) -> bool:
        return self._socket.closed

    async def packet(self) -> str:
        """The next packet; "" when there will be none."""
        async with asyncio.timeout(5):
            frame = await self._socket.receive()
        return str(frame.data) if frame.type is aiohttp.WSMsgType.TEXT else ""

    async def event(self, name: str) -> Any:
        while True:
            packet = await self.packet()
            if packet.startswith(f'42["{name}"'):
                return json.loads(packet[2:])[1]

    async def emit(self, event: str, data: object, number: str = "") -> None:
        await self._socket.send_str(f"42{number}{json.dumps([event, data])}")

    async def send(self, packet: str) -> None:
        await self._socket.send_str(packet)


@pytest.fixture
async def old(server: CytubeServer) -> AsyncIterator[OldBot]:
    """Connected, and told so without asking."""
    url = f"{server.url}/socket.io/?EIO=3&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        bot = OldBot(socket)
        hello = json.loads((await bot.packet())[1:])
        assert (hello["pingInterval"], hello["pingTimeout"]) == (25000, 120000)
        assert await bot.packet() == "40"
        assert await bot.event("rank") == -1
        yield bot


async def test_it_joins_logs_in_talks_and_is_seen(old: OldBot, join: Join, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    await old.emit("joinChannel", {"name": "test-rosey"})
    assert [user["name"] for user in await old.event("userlist")] == ["Guesty"]
    await old.emit("login", {"name": "RoseyBot", "pw": SANDBOX_PASSWORD})
    assert (await old.event("login"))["success"]
    assert (await viewer.wait_for("addUser", lambda user: user["name"] == "RoseyBot"))["name"] == "RoseyBot"
    await old.emit("chatMsg", {"msg": "still here 🙂", "meta": {}})
    assert (await viewer.wait_for("chatMsg"))["msg"] == "still here 🙂"
    await viewer.chat("hello")
    while (await old.event("chatMsg"))["username"] != "Guesty":
        pass


async def test_it_pings_and_is_answered(old: OldBot) -> None:
    await old.send("2probe")
    assert await old.packet() == "3probe"
    await old.send("42nonsense")
    await old.send("2")
    assert await old.packet() == "3"


async def test_it_is_acknowledged(old: OldBot) -> None:
    await old.emit("joinChannel", {"name": "test-rosey"})
    await old.event("userlist")
    await old.emit("newPoll", {"title": "?", "opts": ["a"]}, number="7")
    while not (packet := await old.packet()).startswith("43"):
        pass
    assert packet.startswith('437[{"error"')


async def test_it_is_kicked_and_hung_up_on(old: OldBot, server: CytubeServer) -> None:
    await old.emit("joinChannel", {"name": "test-rosey"})
    await old.event("userlist")
    await old.emit("setOptions", {})
    assert (await old.event("kick"))["reason"] == "Attempted setOptions as a non-moderator"
    assert await old.packet() == "41"
    async with asyncio.timeout(5):
        while server.connections:
            await asyncio.sleep(0.01)


async def test_it_is_refused_with_a_reason(server: CytubeServer) -> None:
    server.hub.banned.add("127.0.0.1")
    url = f"{server.url}/socket.io/?EIO=3&transport=websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        bot = OldBot(socket)
        await bot.packet()
        assert await bot.packet() == '44"You are banned from the server"'
    assert server.connections == 0


async def test_a_stop_breaks_it_like_any_other(old: OldBot, server: CytubeServer) -> None:
    await server.stop()
    async with asyncio.timeout(5):
        while not old.closed:
            await old.packet()
