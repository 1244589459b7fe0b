"""The scenarios of the recording that concern a bot, against the sandbox server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from botcore.config import Channel, User
from botcore.cytube import backoff
from botcore.cytube.message import Delivery, Message
from botcore.errors import (
    Banned,
    ChannelRefused,
    DuplicateLogin,
    Kicked,
    LoginRefused,
    NameTaken,
    NoAnswer,
    RateLimited,
    Unreachable,
)
from botcore.logs import CHAT
from sandbox.cytube import (
    SANDBOX_PASSWORD,
    Account,
    AddressLimits,
    CytubeServer,
    ServerConfig,
    Viewer,
)
from sandbox.cytube import Channel as Room
from tests.botcore.running import CHANNEL, NAME, Running, moderator, running, secrets, settings_for, until


async def test_connect_join_login_02(server: CytubeServer, bot: Running) -> None:
    assert server.users == [NAME]
    room = bot.bot.snapshot().room
    assert room.rank == 3
    assert room.user(NAME) is not None
    await until(lambda: bot.bot.snapshot().response_ms is not None)


async def test_a_name_in_another_case_is_still_ours_02(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path, user=User(name=NAME.lower()))) as one:
        await one.in_room()
        assert server.users == [NAME]
        assert await one.bot.outbox.put(Message("hello")) is Delivery.DELIVERED


@pytest.mark.parametrize(
    "frame",
    ['2["unterminated', "2[]", "2", "2[5]", '2{"a":1}', "9", "", "2[null]", '2["a",{"b":' + "[" * 5000, "4", "0", "1"],
)
async def test_a_frame_that_is_no_event_leaves_the_bot_working(server: CytubeServer, bot: Running, frame: str) -> None:
    for sid in list(server._sio.eio.sockets):
        await server._sio.eio.send(sid, frame)
    mod = await moderator(server)
    await until(lambda: bot.connected and bot.bot.snapshot().room.user("Moderator"), deadline=60)
    await mod.pm(NAME, "help")
    await mod.wait_for("pm", lambda line: line["username"] == NAME)
    assert "job" not in bot.bot.telemetry.errors
    await mod.leave()


async def test_history_is_not_live_chat_04(
    server: CytubeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", CHAT)
    early = await moderator(server)
    await early.chat("said before the bot came")
    await early.wait_for("chatMsg")
    heard = []
    async with running(settings_for(server, tmp_path)) as one:
        one.bot.events.subscribe(
            lambda _s, event, data, before: heard.append(data) if event == "chatMsg" and before.listed else None
        )
        await one.in_room()
        await early.chat("said live")
        await until(lambda: any(line["msg"] == "said live" for line in heard))
    assert [line["msg"] for line in heard if line["username"] == "Moderator"] == ["said live"]
    written = [record.getMessage() for record in caplog.records if record.name == CHAT]
    assert "Moderator: said live" in written
    assert "Moderator: said before the bot came" not in written
    await early.leave()


async def test_guests_come_in_with_a_name_alone_04_07(server: CytubeServer, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path, user=User(name="Guesty", guest=True))
    async with running(settings, secrets(None)) as one:
        await one.in_room()
        assert server.users == ["Guesty"]
        assert one.bot.snapshot().room.rank == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>bold</b> & \"quotes\" 'single'", "&lt;b&gt;bold&lt;/b&gt; &amp; \"quotes\" 'single'"),
        ("see https://example.com/a?b=c&d=1 now", None),
        (">greentext", "&gt;greentext"),
        ("*bold* _it_ `code` ||spoiler||", "<strong>bold</strong> <em>it</em> <code>code</code> ||spoiler||"),
        ("ünï 日本 🙂", "ünï 日本 🙂"),
    ],
)
async def test_what_the_server_makes_of_a_line_is_still_our_echo_05(
    server: CytubeServer, bot: Running, text: str, shown: str | None
) -> None:
    assert await bot.bot.outbox.put(Message(text)) is Delivery.DELIVERED
    assert len(server.chat_log) == 1
    if shown is not None:
        assert server.chat_log[0].html == shown


async def test_a_pm_to_somebody_absent_is_refused_06(bot: Running) -> None:
    message = Message("anyone?", to="NotHere")
    assert await bot.bot.outbox.put(message) is Delivery.REFUSED
    assert "isn't connected" in message.detail


async def test_a_guest_name_in_use_is_tried_again_slowly_07(server: CytubeServer, tmp_path: Path) -> None:
    holder = await Viewer.join(server.url, CHANNEL, "Guesty")
    settings = settings_for(server, tmp_path, user=User(name="Guesty", guest=True))
    async with running(settings, secrets(None), fast=True) as one:
        await one.ended_with(NameTaken)
        assert not one.connected_ever
        await holder.leave()
        await one.in_room()


async def test_one_guest_login_per_address_and_minute_07(tmp_path: Path) -> None:
    config = ServerConfig(login_cost=4, address_limits=AddressLimits(guest_seconds=1.0))
    async with CytubeServer(config) as server:
        first = await Viewer.join(server.url, CHANNEL, "FirstGuest")
        settings = settings_for(server, tmp_path, user=User(name="Guesty", guest=True))
        async with running(settings, secrets(None), fast=True) as one:
            await one.ended_with(NameTaken)
            await one.in_room(deadline=60)
        await first.leave()


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [(NAME, "wrong", "Invalid username/password combination"), ("NobodyHere", "x", "User does not exist")],
)
async def test_a_wrong_password_is_not_tried_again_for_minutes_08(
    server: CytubeServer, tmp_path: Path, name: str, password: str, says: str
) -> None:
    async with running(settings_for(server, tmp_path, user=User(name=name)), secrets(password)) as one:
        await one.ended_with(LoginRefused)
        assert says in one.reasons[0]
        assert one.bot.connection.status.retry_in is not None
        assert one.bot.connection.status.retry_in >= 200
        assert not one.connected_ever
        await until(lambda: server.connections == 0, why="it has left")


async def test_new_credentials_are_used_at_once_08(server: CytubeServer, tmp_path: Path) -> None:
    settings = settings_for(server, tmp_path)
    async with running(settings, secrets("wrong")) as one:
        await one.ended_with(LoginRefused)
        one.bot.reload(settings, secrets())
        await one.in_room()


async def test_a_duplicate_login_does_not_fight_back_11(server: CytubeServer, bot: Running) -> None:
    other = await Viewer.join(server.url, CHANNEL, NAME, SANDBOX_PASSWORD)
    await bot.ended_with(DuplicateLogin)
    assert not bot.connected
    assert bot.bot.connection.status.retry_in is not None
    assert bot.bot.connection.status.retry_in >= 40
    assert server.users == [NAME]
    await other.leave()


async def test_it_comes_back_after_a_duplicate_login_11(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        other = await Viewer.join(server.url, CHANNEL, NAME, SANDBOX_PASSWORD)
        await one.ended_with(DuplicateLogin)
        await one.in_room()
        await other.wait_disconnected()


async def test_a_muted_bot_knows_that_it_was_not_heard_12(server: CytubeServer, bot: Running) -> None:
    owner = await moderator(server, name="Owner")
    await owner.chat(f"/mute {NAME}")
    await until(lambda: (user := bot.bot.snapshot().room.user(NAME)) and user.muted)
    message = Message("am I muted")
    assert await bot.bot.outbox.put(message) is Delivery.REFUSED
    assert "muted" in message.detail
    await owner.leave()


async def test_ranks_follow_13(server: CytubeServer, bot: Running) -> None:
    owner = await moderator(server, name="Owner")
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await owner.emit("setChannelRank", {"name": "Viewer", "rank": 2})
    await until(lambda: (user := bot.bot.snapshot().room.user("viewer")) and user.rank == 2)
    await viewer.leave()
    await owner.leave()


async def test_sixty_lines_at_once_are_all_said_in_order_17(server: CytubeServer, bot: Running) -> None:
    messages = [Message(f"burst {number}") for number in range(60)]
    results = await asyncio.gather(*(bot.bot.outbox.put(message) for message in messages))
    assert set(results) == {Delivery.DELIVERED}
    assert [line.text for line in server.chat_log] == [message.text for message in messages]


async def test_a_line_lost_to_cooldown_is_said_again_17(server: CytubeServer, bot: Running) -> None:
    """Another program of ours used the allowance up: the server's count is what matters."""
    session = bot.bot.connection.session
    assert session is not None
    for number in range(30):
        await session.emit("chatMsg", {"msg": f"foreign {number}", "meta": {}})
    await until(lambda: bot.bot.telemetry.events["cooldown"] == 10)
    assert await bot.bot.outbox.put(Message("mine")) is Delivery.DELIVERED
    assert bot.bot.telemetry.events["cooldown"] == 11
    assert [line.text for line in server.chat_log].count("mine") == 1


async def test_antiflood_binds_a_bot_without_rank_18(tmp_path: Path) -> None:
    accounts = (Account("Plain", SANDBOX_PASSWORD, rank=1), Account("Owner", SANDBOX_PASSWORD, rank=5))
    async with CytubeServer(ServerConfig(login_cost=4, accounts=accounts)) as server:
        owner = await moderator(server, name="Owner")
        await owner.emit("setOptions", {"chat_antiflood": True})
        async with running(settings_for(server, tmp_path, user=User(name="Plain"))) as one:
            await one.in_room()
            results = await asyncio.gather(*(one.bot.outbox.put(Message(f"line {number}")) for number in range(6)))
            assert set(results) == {Delivery.DELIVERED}
            assert one.bot.telemetry.events["cooldown"] == 0
        assert [line.text for line in server.chat_log] == [f"line {number}" for number in range(6)]
        await owner.leave()


async def test_an_ordinary_kick_is_followed_by_a_return_19(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        server.kick(NAME, "please stop")
        await one.ended_with(Kicked)
        assert "please stop" in one.reasons[0]
        await one.in_room()
        assert server.users == [NAME]


def test_a_kick_keeps_away_for_seconds_and_a_ban_for_minutes() -> None:
    assert backoff.PACES[Kicked].first >= 5
    assert backoff.PACES[DuplicateLogin].first >= 60
    assert backoff.PACES[Banned].first >= 300


async def test_a_ban_in_the_room_is_told_apart_from_a_kick_21(server: CytubeServer, bot: Running) -> None:
    owner = await moderator(server, name="Owner")
    await owner.chat(f"/ban {NAME} spamming")
    await bot.ended_with(Banned)
    assert not bot.connected
    assert "banned" in bot.reasons[0]
    await owner.leave()


async def test_a_banned_bot_is_never_connected_although_its_login_succeeds_21(
    server: CytubeServer, tmp_path: Path
) -> None:
    server.ban(NAME)
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.ended_with(Banned, times=2, deadline=60)
        assert not one.connected_ever


async def test_the_channel_password_opens_the_door_22(tmp_path: Path) -> None:
    config = ServerConfig(
        login_cost=4, channels=(Room(CHANNEL, password="sesame"),), accounts=(Account("Plain", "x", rank=1),)
    )
    async with (
        CytubeServer(config) as server,
        running(settings_for(server, tmp_path, user=User(name="Plain")), secrets("x", channel="sesame")) as one,
    ):
        await one.in_room()


@pytest.mark.parametrize(("given", "says"), [("wrong", "is wrong"), (None, "wants a password")])
async def test_a_wrong_channel_password_is_no_join_22(tmp_path: Path, given: str | None, says: str) -> None:
    config = ServerConfig(
        login_cost=4, channels=(Room(CHANNEL, password="sesame"),), accounts=(Account("Plain", "x", rank=1),)
    )
    async with (
        CytubeServer(config) as server,
        running(settings_for(server, tmp_path, user=User(name="Plain")), secrets("x", channel=given)) as one,
    ):
        await one.ended_with(ChannelRefused)
        assert says in one.reasons[0]
        assert not one.connected_ever
        assert server.users == []


async def test_a_moderator_passes_without_the_channel_password_22(tmp_path: Path) -> None:
    config = ServerConfig(login_cost=4, channels=(Room(CHANNEL, password="sesame"),))
    async with CytubeServer(config) as server, running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        assert server.users == [NAME]


async def test_a_channel_without_anonymous_people_lets_the_named_bot_in_23(
    server: CytubeServer, tmp_path: Path
) -> None:
    owner = await moderator(server, name="Owner")
    await owner.emit("setOptions", {"block_anonymous_users": True})
    await owner.wait_for("channelOpts", lambda options: options["block_anonymous_users"])
    async with running(settings_for(server, tmp_path)) as one:
        await one.in_room()
    await owner.leave()


async def test_a_name_that_the_server_refuses_is_no_join_24(server: CytubeServer, tmp_path: Path) -> None:
    # Our own settings refuse such a name first, so it has to be smuggled in.
    channel = Channel.model_construct(name="bad name!", password=None, password_file=None)
    async with running(settings_for(server, tmp_path).model_copy(update={"channel": channel})) as one:
        await one.ended_with(ChannelRefused)
        assert not one.connected_ever


async def test_the_connection_limit_is_waited_out_25(tmp_path: Path) -> None:
    async with CytubeServer(ServerConfig(login_cost=4, address_limits=AddressLimits())) as server:
        crowd = [await Viewer.join(server.url, CHANNEL) for _ in range(5)]
        async with running(settings_for(server, tmp_path)) as one:
            await one.ended_with(RateLimited)
            assert one.bot.connection.status.retry_in is not None
            assert one.bot.connection.status.retry_in >= 10
        for viewer in crowd:
            await viewer.leave()


async def test_joins_that_get_no_answer_are_tried_on_new_connections_28(server: CytubeServer, tmp_path: Path) -> None:
    server.lose_joins(2)
    async with running(settings_for(server, tmp_path, response_timeout=0.3), fast=True) as one:
        await one.in_room()
        assert one.ended == {NoAnswer.reason: 2}
        assert server.users == [NAME]


async def test_a_silent_login_is_not_a_login_28(server: CytubeServer, tmp_path: Path) -> None:
    server.silent_login = True
    async with running(settings_for(server, tmp_path, response_timeout=0.3), fast=True) as one:
        await one.ended_with(NoAnswer, times=2)
        assert not one.connected_ever
        server.silent_login = False
        await one.in_room()


async def test_after_a_server_restart_it_joins_and_logs_in_again_28_29(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        await server.stop()
        await until(lambda: not one.connected)
        await one.ended_with(Unreachable, times=3)
        assert not one.connected
        await server.start()
        await one.in_room()
        assert server.users == [NAME]
        assert one.bot.telemetry.sessions == 2


async def test_an_outage_is_followed_with_growing_delays_and_ends_within_the_cap(
    server: CytubeServer, tmp_path: Path
) -> None:
    """Ten minutes of outage, a hundred times faster: the delays grow to the cap of 30 s and stay there."""
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.in_room()
        await server.stop()
        await one.ended_with(Unreachable, times=12, deadline=30)
        assert one.bot.connection.status.retry_in is not None
        assert 0.2 <= one.bot.connection.status.retry_in <= 0.3
        await server.start()
        await one.in_room(deadline=60)


async def test_the_next_item_is_followed_31(server: CytubeServer, bot: Running) -> None:
    owner = await moderator(server, name="Owner")
    await owner.emit("queue", {"id": "dQw4w9WgXcQ", "type": "yt", "pos": "end", "temp": False})
    await owner.emit("queue", {"id": "aaaaaaaaaaa", "type": "yt", "pos": "end", "temp": False})
    await until(lambda: len(bot.bot.snapshot().room.playlist) == 2)
    await owner.emit("playNext")
    await until(lambda: (playing := bot.bot.snapshot().room.playback) and playing.media.title == "Demo two")
    await owner.leave()


async def test_too_many_connections_are_a_matter_of_waiting_34(tmp_path: Path) -> None:
    async with CytubeServer(ServerConfig(login_cost=4, address_limits=AddressLimits(concurrent=1))) as server:
        other = await Viewer.join(server.url, CHANNEL)
        async with running(settings_for(server, tmp_path)) as one:
            await one.ended_with(RateLimited)
            assert not one.connected_ever
        await other.leave()
