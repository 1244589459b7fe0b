"""The control endpoint, over HTTP as other processes use it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.cytube import CytubeServer, ServerConfig
from tests.sandbox.cytube.conftest import Join


class Remote:
    def __init__(self, http: aiohttp.ClientSession, server: CytubeServer) -> None:
        self._http = http
        self._base = f"{server.url}/_sandbox"

    async def post(self, action: str, body: object) -> tuple[int, dict[str, Any]]:
        async with self._http.post(f"{self._base}/{action}", json=body) as response:
            return response.status, await response.json()

    async def post_text(self, action: str, body: str) -> int:
        async with self._http.post(f"{self._base}/{action}", data=body) as response:
            return response.status

    async def state(self) -> tuple[int, dict[str, Any]]:
        async with self._http.get(f"{self._base}/state") as response:
            return response.status, await response.json()


@pytest.fixture
async def remote(server: CytubeServer) -> AsyncIterator[Remote]:
    async with aiohttp.ClientSession() as http:
        yield Remote(http, server)


async def test_a_synthetic_user_enters_speaks_and_leaves(join: Join, remote: Remote) -> None:
    viewer = await join("Guesty")
    await remote.post("say", {"name": "Alice", "msg": "hello *there*", "rank": 2})
    assert (await viewer.wait_for("addUser", lambda user: user["name"] == "Alice"))["rank"] == 2
    assert (await viewer.wait_for("chatMsg"))["msg"] == "hello <strong>there</strong>"
    await remote.post("pm", {"name": "Alice", "to": "Guesty", "msg": "psst"})
    assert (await viewer.wait_for("pm"))["username"] == "Alice"
    status, state = await remote.post("leave", {"name": "Alice"})
    assert status == 200
    assert [user["name"] for user in state["channels"]["test-rosey"]["users"]] == ["Guesty"]
    assert await viewer.wait_for("userLeave") == {"name": "Alice"}


async def test_kick_ban_and_unban(join: Join, remote: Remote, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    await remote.post("kick", {"name": "Guesty", "reason": "out"})
    assert await viewer.wait_for("kick") == {"reason": "out"}
    await remote.post("ban", {"name": "Guesty"})
    again = await join("Guesty")
    await again.wait_for("kick")
    assert (await remote.post("unban", {"name": "Guesty"}))[0] == 200
    await join("Guesty")


async def test_faults_are_switched_and_shown(remote: Remote, server: CytubeServer) -> None:
    wanted = {"lose_joins": 2, "silent_login": True, "delay_ms": 5.0}
    await remote.post("faults", wanted)
    assert (await remote.state())[1]["faults"] == wanted


async def test_connections_are_dropped_but_not_the_callers(join: Join, remote: Remote) -> None:
    viewer = await join("Guesty")
    assert (await remote.post("drop", {}))[0] == 200
    assert await viewer.wait_disconnected() == "transport error"


async def test_restart_answers_first(join: Join, remote: Remote, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    assert (await remote.post("restart", {"downtime": 0.01}))[0] == 202
    assert await viewer.wait_disconnected() == "transport error"


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("kick", {"name": "nobody"}, 404),
        ("pm", {"name": "Alice", "to": "nobody", "msg": ""}, 404),
        ("leave", {"name": "nobody"}, 404),
        ("kick", {}, 400),
        ("kick", [], 400),
        ("kick", {"name": "x", "channel": 3}, 400),
        ("say", {"name": "not a name", "msg": ""}, 400),
        ("restart", {"downtime": "long"}, 400),
    ],
)
async def test_a_wrong_request_is_told_so(remote: Remote, action: str, body: object, status: int) -> None:
    answered, answer = await remote.post(action, body)
    assert answered == status
    assert answer["error"]


async def test_only_json_is_taken(remote: Remote) -> None:
    assert await remote.post_text("drop", "{}") == 415


async def test_a_stranger_is_turned_away() -> None:
    async with (
        CytubeServer(ServerConfig(control_networks=("10.9.8.0/24",))) as server,
        aiohttp.ClientSession() as http,
    ):
        remote = Remote(http, server)
        assert (await remote.state())[0] == 403
        assert (await remote.post("drop", {}))[0] == 403
        assert (await remote.post("restart", {}))[0] == 403
