"""Joining, logging in and being thrown out: what the recording does not show, or not by itself."""

import asyncio

import pytest

from sandbox.cytube import (
    SANDBOX_PASSWORD,
    Account,
    AddressLimits,
    Channel,
    CytubeServer,
    JoinRefused,
    LoginRefused,
    ManualClock,
    ServerConfig,
    Viewer,
)
from sandbox.cytube.errors import ViewerError
from tests.sandbox.cytube.conftest import Join, hears_nothing


async def test_the_older_of_two_sessions_loses(join: Join, server: CytubeServer) -> None:
    older = await join("RoseyBot")
    newer = await join("RoseyBot")
    assert await older.wait_for("kick") == {"reason": "Duplicate login"}
    assert await older.wait_disconnected() == "server disconnect"
    assert newer.disconnected is None
    assert server.users == ["RoseyBot"]


async def test_two_sessions_that_logged_in_before_joining_are_duplicates_too(join: Join, server: CytubeServer) -> None:
    older = await join("RoseyBot")
    newer = Viewer()
    await newer.connect(server.url, "test-rosey")
    await newer.login("RoseyBot", SANDBOX_PASSWORD)
    await newer.enter("test-rosey")
    assert await older.wait_for("kick") == {"reason": "Duplicate login"}
    await newer.leave()


async def test_a_wrong_channel_password_is_a_refusal_and_a_right_one_is_not() -> None:
    config = ServerConfig(channels=(Channel("closed", password="sesame"),), login_cost=4)
    async with CytubeServer(config) as server:
        with pytest.raises(JoinRefused, match="needPassword"):
            await Viewer.join(server.url, "closed", "Guest1", channel_password="wrong")
        viewer = await Viewer.join(server.url, "closed", "Guest1", channel_password="sesame")
        assert server.users == ["Guest1"]
        await viewer.leave()


async def test_login_is_refused_with_the_servers_sentence(server: CytubeServer) -> None:
    with pytest.raises(LoginRefused, match="Invalid username/password combination"):
        await Viewer.join(server.url, "test-rosey", "RoseyBot", "wrong")
    with pytest.raises(LoginRefused, match="User does not exist"):
        await Viewer.join(server.url, "test-rosey", "Nobody", "wrong")


async def test_the_same_socket_may_try_again(join: Join) -> None:
    viewer = await join()
    with pytest.raises(LoginRefused):
        await viewer.login("RoseyBot", "wrong")
    await viewer.login("RoseyBot", SANDBOX_PASSWORD)


@pytest.mark.parametrize(
    ("event", "data", "answers"),
    [
        ("login", {"name": "Other", "pw": ""}, {"login", "errorMsg"}),
        ("joinChannel", {"name": "test-rosey"}, {"userlist", "errorMsg"}),
        ("login", {"name": 5}, {"login", "errorMsg"}),
        ("chatMsg", {"msg": "   "}, {"chatMsg", "errorMsg"}),
        ("chatMsg", {"msg": "/say loud"}, {"chatMsg", "errorMsg"}),
        ("chatMsg", {"msg": "/kick RoseyBot"}, {"kick", "errorMsg"}),
        ("queue", {"id": "x", "type": "tw", "pos": "end"}, {"queue", "queueFail", "errorMsg"}),
        ("delete", 0, {"delete", "errorMsg"}),
        ("noSuchEvent", {}, {"errorMsg"}),
    ],
)
async def test_silence_where_the_real_server_is_silent(join: Join, event: str, data: object, answers: set[str]) -> None:
    viewer = await join("Guesty")
    viewer.forget()
    await viewer.emit(event, data)
    assert await hears_nothing(viewer, *answers)


async def test_anonymous_chat_is_silent(join: Join, server: CytubeServer) -> None:
    viewer = await join()
    await viewer.chat("hello?")
    await viewer.pm("x", "y")
    await viewer.wait_for("errorMsg")
    assert not server.chat_log


async def test_a_restart_empties_rooms_but_keeps_bans(join: Join, server: CytubeServer) -> None:
    viewer = await join("Guesty")
    server.ban("troll")
    await server.restart()
    assert await viewer.wait_disconnected() == "transport error"
    assert server.users == []
    troll = await join("troll")
    assert await troll.wait_for("kick") == {"reason": "You are banned from this channel."}


async def test_whoever_comes_into_an_empty_room_is_counted_at_once(join: Join, server: CytubeServer) -> None:
    first = await join("First")
    assert await first.wait_for("usercount") == 1
    server.drop_connections()
    await first.wait_disconnected()
    again = await join("First")
    assert await again.wait_for("usercount") == 1


async def test_after_a_reconnect_only_the_rank_arrives(server: CytubeServer) -> None:
    viewer = Viewer()
    await viewer.connect(server.url, "test-rosey")
    assert await viewer.wait_for("rank") == -1
    await viewer.chat("nobody hears this")
    assert await hears_nothing(viewer, "userlist", "usercount", "chatMsg")
    await viewer.leave()


async def test_the_eleventh_connection_of_an_address_is_kicked_and_a_place_becomes_free(clock: ManualClock) -> None:
    config = ServerConfig(clock=clock, address_limits=AddressLimits(), login_cost=4)
    async with CytubeServer(config) as server:
        viewers = []
        for _ in range(11):
            viewer = Viewer(ip="10.0.0.7")
            await viewer.connect(server.url, "test-rosey")
            viewers.append(viewer)
            clock.advance(12)
        assert await viewers[-1].wait_for("kick") == {"reason": "Too many connections from your IP address"}
        await viewers[-1].wait_disconnected()
        await viewers[0].leave()
        later = Viewer(ip="10.0.0.7")
        await later.connect(server.url, "test-rosey")
        assert await later.wait_for("rank") == -1
        for viewer in [*viewers, later]:
            await viewer.leave()


async def test_the_sixth_connection_at_once_is_refused(clock: ManualClock) -> None:
    config = ServerConfig(clock=clock, address_limits=AddressLimits(), login_cost=4)
    async with CytubeServer(config) as server:
        viewers = [Viewer(ip="10.0.0.7") for _ in range(6)]
        for viewer in viewers[:5]:
            await viewer.connect(server.url, "test-rosey")
        with pytest.raises(ViewerError, match="Rate limit exceeded"):
            await viewers[5].connect(server.url, "test-rosey")
        for viewer in viewers:
            await viewer.leave()


async def test_a_login_costs_the_time_of_a_hash_and_does_not_hold_up_the_others() -> None:
    accounts = tuple(Account(f"User{number}", "secret") for number in range(4))
    async with CytubeServer(ServerConfig(accounts=accounts, login_cost=12)) as server:
        loop = asyncio.get_running_loop()
        talker = await Viewer.join(server.url, "test-rosey", "Talker")
        others = [await Viewer.join(server.url, "test-rosey") for _ in accounts]
        begin = loop.time()
        logins = [asyncio.create_task(each.login(f"User{n}", "secret")) for n, each in enumerate(others)]
        await talker.chat("quick")
        await talker.wait_for("chatMsg", lambda line: line["username"] == "Talker")
        assert not all(login.done() for login in logins)
        await asyncio.gather(*logins)
        # a check at cost 12 is four times the 65 ms of the recorded machine, and on no machine a tenth of that
        assert loop.time() - begin > 0.026
        for viewer in [talker, *others]:
            await viewer.leave()


async def test_somebody_who_leaves_while_logging_in_is_never_seen(server: CytubeServer, join: Join) -> None:
    watcher = await join("Guesty")
    hasty = await join()
    await hasty.emit("login", {"name": "Owner", "pw": SANDBOX_PASSWORD})
    await hasty.leave()
    await watcher.chat("anybody?")
    await watcher.wait_for("chatMsg")
    assert server.users == ["Guesty"]


async def test_the_handshake_names_the_recorded_ping_times(join: Join) -> None:
    viewer = await join()
    assert viewer.ping == (25.0, 120.0)
