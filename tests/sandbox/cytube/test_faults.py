"""What can be made to go wrong, and what can be seen of the server."""

import asyncio

import pytest

from sandbox.cytube import CytubeServer, NotRunning, ServerConfig, UnknownName, Viewer
from tests.sandbox.cytube.conftest import Join, hears_nothing


async def test_a_lost_join_has_no_answer_and_login_works_all_the_same(server: CytubeServer) -> None:
    server.lose_joins(1)
    viewer = Viewer()
    await viewer.connect(server.url, "test-rosey")
    await viewer.emit("joinChannel", {"name": "test-rosey"})
    assert await hears_nothing(viewer, "userlist", "needPassword")
    await viewer.login("Guesty")
    assert server.users == []
    # joinChannel works once per socket: the cure is a new connection
    await viewer.emit("joinChannel", {"name": "test-rosey"})
    assert await hears_nothing(viewer, "userlist")
    await viewer.leave()
    again = await Viewer.join(server.url, "test-rosey", "Guesty")
    assert server.users == ["Guesty"]
    await again.leave()


async def test_a_join_is_lost_while_an_emptied_room_is_saved() -> None:
    async with CytubeServer(ServerConfig(lost_join_window=60)) as server:
        first = await Viewer.join(server.url, "test-rosey", "First")
        await first.leave()
        async with asyncio.timeout(5):
            while server.connections:
                await asyncio.sleep(0)
        second = Viewer()
        await second.connect(server.url, "test-rosey")
        await second.emit("joinChannel", {"name": "test-rosey"})
        assert await hears_nothing(second, "userlist")
        await second.leave()


async def test_a_silent_login(join: Join, server: CytubeServer) -> None:
    viewer = await join()
    server.silent_login = True
    await viewer.emit("login", {"name": "Guesty", "pw": ""})
    assert await hears_nothing(viewer, "login")
    server.silent_login = False
    await viewer.login("Guesty")


async def test_answers_can_be_delayed_and_keep_their_order(join: Join, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    loop = asyncio.get_running_loop()
    server.delay(200)
    begin, received = loop.time(), server.received
    await viewer.chat("one")
    async with asyncio.timeout(5):
        while server.received == received:
            await asyncio.sleep(0)
    server.delay(0)
    await viewer.chat("two")
    assert [(await viewer.wait_for("chatMsg"))["msg"] for _ in range(2)] == ["one", "two"]
    assert loop.time() - begin >= 0.2


async def test_dropped_connections_are_transport_errors_and_the_server_goes_on(
    join: Join, server: CytubeServer
) -> None:
    viewers = [await join("One"), await join("Two")]
    assert server.drop_connections() == 2
    for viewer in viewers:
        assert await viewer.wait_disconnected() == "transport error"
    await join("Three")
    assert server.users == ["Three"]


async def test_a_stopped_server_has_no_address_and_refuses(server: CytubeServer) -> None:
    url = server.url
    await server.stop()
    await server.stop()
    with pytest.raises(NotRunning):
        _ = server.url
    await server.start()
    assert server.url == url


async def test_kick_and_ban_by_hook(join: Join, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    server.kick("guesty", "enough")
    assert await viewer.wait_for("kick") == {"reason": "enough"}
    again = await join("Guesty")
    server.ban("Guesty")
    assert await again.wait_for("kick") == {"reason": "You're banned!"}
    server.unban("Guesty")
    await join("Guesty")
    assert server.users == ["Guesty"]
    for hook in (server.kick, server.unban):
        with pytest.raises(UnknownName, match="nobody"):
            hook("nobody")


async def test_what_was_said_can_be_looked_up(join: Join, server: CytubeServer) -> None:
    one, two = await join("One"), await join("Two")
    await one.chat("<hello>")
    await one.pm("two", "psst")
    await two.wait_for("pm")
    [line], [pm] = server.chat_log, server.pm_log
    assert (line.username, line.text, line.html, line.channel) == ("One", "<hello>", "&lt;hello&gt;", "test-rosey")
    assert (pm.username, pm.to, pm.text) == ("One", "Two", "psst")


async def test_a_password_is_not_in_the_repr() -> None:
    assert "sandbox" not in repr(ServerConfig().accounts[0])


async def test_polling_works_and_ends_at_once(server: CytubeServer) -> None:
    viewer = Viewer()
    await viewer.connect(server.url, "test-rosey", transports=("polling",))
    await viewer.enter("test-rosey")
    async with asyncio.timeout(5):
        await viewer.leave()
        while server.connections:
            await asyncio.sleep(0)
