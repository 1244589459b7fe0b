"""The bot lends its rank to nobody: what its moderators make it say and do, they could have done themselves."""

from __future__ import annotations

from typing import Any

import pytest

from botcore.cytube import orders
from botcore.cytube.message import Delivery, Message
from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, Viewer
from tests.botcore.running import CHANNEL, Running, moderator, until
from tests.botcore.test_commands import ask, filled


@pytest.mark.parametrize(
    "line",
    [
        "/me /rank Moderator 4",
        "/me /rank Viewer 2",
        "/sp /kick Viewer",
        "/me /sp /me /ban Viewer",
        "/me /clear",
        "/say /kick Viewer",
        "/d /kick Viewer",
        "/dance",
        "/clean .*",
        "/me\t/kick Viewer",
        "/me /afk",
    ],
)
async def test_no_order_is_passed_on_at_any_depth(server: CytubeServer, bot: Running, mod: Viewer, line: str) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await until(lambda: bot.bot.snapshot().room.user("Viewer") is not None)
    assert "do not pass orders" in await ask(mod, f"say {line}")
    assert not server.chat_log
    assert {user.name: user.rank for user in bot.bot.snapshot().room.users.values()} == {
        "RoseyBot-Test": 3,
        "Moderator": 2,
        "Viewer": 1,
    }
    assert bot.bot.telemetry.error_count == 0
    await viewer.leave()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("/shrug why not", " /shrug why not"),
        ("//", " //"),
        ("/toString", " /toString"),
        ("/me /shrug", " /shrug"),
        ("/me waves", "waves"),
        ("/me  /kick Viewer", " /kick Viewer"),
    ],
)
async def test_a_slash_that_is_meant_goes_out_as_text(server: CytubeServer, mod: Viewer, line: str, shown: str) -> None:
    assert await ask(mod, f"say {line}") == "Said."
    assert [said.text for said in server.chat_log] == [shown]


async def test_a_long_message_is_never_cut_into_an_order(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await until(lambda: bot.bot.snapshot().room.user("Viewer") is not None)
    # What the moderator types fits into one line, what the bot says after it would begin with the slash.
    assert await ask(mod, f"say {'x' * 300} /kick Viewer") == "Said."
    bot.bot.outbox.put(Message(f"{'y' * 319} /kick Viewer"))
    await until(lambda: len(server.chat_log) == 3)
    assert bot.bot.snapshot().room.user("Viewer") is not None
    assert [said.text for said in server.chat_log][-1] == " /kick Viewer"
    await viewer.leave()


@pytest.mark.parametrize(
    ("permission", "order"),
    [
        ("kick", "kick Viewer"),
        ("chatclear", "clear"),
        ("chat", "say hello"),
        ("playlistadd", "add tw:stream"),
        ("playlistaddlive", "add tw:stream"),
        ("playlistaddlist", "add yp:list"),
        ("playlistaddrawfile", "add https://a.test/b.mp4"),
        ("playlistnext", "add tw:stream next"),
        ("addnontemp", "add tw:stream keep"),
        ("playlistdelete", "remove 1"),
        ("playlistmove", "move 1 2"),
        ("playlistjump", "jump 1"),
        ("playlistjump", "next"),
        ("leaderctl", "pause"),
        ("voteskip", "voteskip"),
        ("seeplaylist", "playlist"),
    ],
)
async def test_what_a_moderator_may_not_do_the_bot_does_not_do_for_them(
    server: CytubeServer, bot: Running, mod: Viewer, permission: str, order: str
) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await filled(mod, bot)
    server.room().permissions |= {permission: 3, f"o{permission}": 3}
    server.room().broadcast("setPermissions", server.room().permissions)
    await until(lambda: bot.bot.snapshot().room.permissions[permission] == 3)
    state = server.state()["channels"]
    said = len(server.chat_log)
    answer = await ask(mod, order)
    assert "You may not do that" in answer
    assert server.state()["channels"] == state
    assert len(server.chat_log) == said
    assert bot.bot.telemetry.error_count == 0
    await viewer.leave()


async def test_orders_of_somebody_who_was_demoted_meanwhile_are_not_carried_out(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    """The rank counts when the order is carried out, not when it was given."""
    owner = await moderator(server, name="Owner")
    server.crowd().enter("Below")
    await until(lambda: len(bot.bot.snapshot().room.users) == 4)
    handlers = server.room().handlers
    queue = handlers["queue"]
    held: list[tuple[Any, object]] = []
    handlers["queue"] = lambda session, data: held.append((session, data))
    for order in ("add tw:stream", "kick Below", "say I am still somebody", "clear"):
        await mod.pm("RoseyBot-Test", order)
    await until(lambda: held)
    await owner.emit("setChannelRank", {"name": "Moderator", "rank": 1})
    await until(lambda: (user := bot.bot.snapshot().room.user("Moderator")) and user.rank == 1)
    queue(*held[0])
    assert "Added" in (await mod.wait_for("pm", lambda line: line["username"] == "RoseyBot-Test"))["msg"]
    await until(lambda: bot.bot.telemetry.requests == 4)
    assert bot.bot.snapshot().room.user("Below") is not None
    assert not server.chat_log
    await owner.leave()


async def test_a_kick_that_waited_does_not_hit_somebody_who_rose_meanwhile(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    server.crowd().enter("Below")
    await until(lambda: bot.bot.snapshot().room.user("Below") is not None)
    # The flood limit holds the kick back for its turn.
    assert await bot.bot.outbox.put(Message("one line")) is Delivery.DELIVERED
    bot.bot.outbox._brakes["chatMsg"].spend()
    await mod.pm("RoseyBot-Test", "kick Below")
    await until(lambda: bot.bot.dispatcher._running)
    below = server.room().find("Below")
    assert below is not None
    below.rank = 2
    server.room().announce_rank(below)
    answer = await mod.wait_for("pm", lambda line: line["username"] == "RoseyBot-Test")
    assert "your rank or a higher one" in answer["msg"]
    assert server.room().find("Below") is not None


@pytest.mark.parametrize(
    "text",
    [
        "say /me\n/kick Viewer",
        "say \u00a0/kick Viewer",
        "say \u2003/me /kick Viewer",
        "pm Viewer /kick Viewer",
        "pm Viewer /me /rank Moderator 4",
        "say &#47;kick Viewer",
        "say *_/kick Viewer_*",
        "kick Viewer2 /rank Moderator 4",
        "help /kick Viewer",
        "/kick Viewer",
        "user /kick",
        "SAY /ME /KICK Viewer",
        "say /sp\t\t/kick Viewer",
    ],
)
async def test_a_mean_moderator_gets_nowhere(server: CytubeServer, bot: Running, mod: Viewer, text: str) -> None:
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", SANDBOX_PASSWORD)
    await until(lambda: bot.bot.snapshot().room.user("Viewer") is not None)
    await ask(mod, text)
    assert viewer.disconnected is None
    assert {member.name: member.rank for member in server.room().members} == {
        "RoseyBot-Test": 3,
        "Moderator": 2,
        "Viewer": 1,
    }
    await viewer.leave()


async def test_a_muted_moderator_does_not_speak_through_the_bot(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    owner = await moderator(server, name="Owner")
    await owner.chat("/mute Moderator")
    await until(lambda: (user := bot.bot.snapshot().room.user("Moderator")) and user.muted)
    assert "muted" in await ask(mod, "say hello")
    assert not [line for line in server.chat_log if line.username == "RoseyBot-Test"]
    await owner.leave()


async def test_limits_of_the_channel_are_not_exceeded_for_those_who_may_not(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    room = server.room()
    room.permissions |= {"exceedmaxitems": 3, "exceedmaxlength": 3, "exceedmaxdurationperuser": 3}
    room.broadcast("setPermissions", room.permissions)
    room.board.options |= {"playlist_max_per_user": 1}
    room.broadcast("channelOpts", room.board.options)
    await until(lambda: bot.bot.snapshot().room.options["playlist_max_per_user"] == 1)
    assert "Added" in await ask(mod, "add yt:aaaaaaaaaaa")
    assert "limit" in await ask(mod, "add yt:dQw4w9WgXcQ")
    room.board.options |= {"playlist_max_per_user": 0, "maxlength": 60}
    room.broadcast("channelOpts", room.board.options)
    await until(lambda: bot.bot.snapshot().room.options["maxlength"] == 60)
    assert "limit" in await ask(mod, "add yt:bbbbbbbbbbb")
    assert len(room.player.items) == 1


def test_lines_are_taken_apart_as_the_server_does() -> None:
    for line, formats, text, order, cost, sent in (
        ("hello", "", "hello", "", 1, "hello"),
        ("/me waves", "/me ", "waves", "", 2, "/me waves"),
        ("/me /sp /kick X", "/me /sp ", "/kick X", "kick", 3, "/me /sp  /kick X"),
        ("/dance", "", "/dance", "dance", 1, " /dance"),
        ("/me", "", "/me", "me", 1, " /me"),
        ("/shrug", "", "/shrug", "", 1, " /shrug"),
        ("", "", "", "", 1, ""),
    ):
        parsed = orders.parse(line)
        assert (parsed.formats, parsed.text, parsed.order, parsed.cost) == (formats, text, order, cost)
        assert parsed.sent() == sent
