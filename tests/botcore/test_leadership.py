"""The bot leads only while an item stands that it was told to pause, and the end of the list is an end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sandbox.cytube import CytubeServer, Viewer
from tests.botcore.running import NAME, Running, moderator, running, settings_for, until
from tests.botcore.test_commands import ask, filled

Ending = Callable[[Viewer, Viewer, CytubeServer], Awaitable[object]]


def leader(server: CytubeServer) -> str:
    one = server.room().player.leader
    return "" if one is None else one.name


async def paused(mod: Viewer, bot: Running) -> None:
    """Three items, the second one paused."""
    await filled(mod, bot)
    await ask(mod, "jump 2")
    assert (await ask(mod, "pause")).startswith("Paused")


async def order_next(mod: Viewer, _owner: Viewer, _server: CytubeServer) -> None:
    await ask(mod, "next")


async def order_jump(mod: Viewer, _owner: Viewer, _server: CytubeServer) -> None:
    await ask(mod, "jump 3")


async def press_next(_mod: Viewer, owner: Viewer, _server: CytubeServer) -> None:
    await owner.emit("playNext")


async def delete_it(_mod: Viewer, owner: Viewer, server: CytubeServer) -> None:
    await owner.emit("delete", server.room().player.current_uid)


async def clear_the_list(_mod: Viewer, owner: Viewer, _server: CytubeServer) -> None:
    await owner.emit("clearPlaylist")


async def take_it_away(_mod: Viewer, owner: Viewer, _server: CytubeServer) -> None:
    await owner.emit("assignLeader", {"name": ""})


async def go_on(mod: Viewer, _owner: Viewer, _server: CytubeServer) -> None:
    assert await ask(mod, "pause") == "Going on."


@pytest.mark.parametrize("ending", [order_next, order_jump, press_next, delete_it, clear_the_list, take_it_away, go_on])
async def test_the_lead_is_given_back_however_a_pause_ends(
    server: CytubeServer, bot: Running, mod: Viewer, ending: Ending
) -> None:
    owner = await moderator(server, name="Owner")
    await paused(mod, bot)
    assert leader(server) == NAME
    await ending(mod, owner, server)
    await until(lambda: leader(server) == "", why="the lead is back")
    await until(lambda: bot.bot.snapshot().room.leader == "")
    playing = bot.bot.snapshot().room.playback
    if playing is not None:
        await until(lambda: (now := bot.bot.snapshot().room.playback) is not None and not now.paused)
    assert bot.bot.telemetry.error_count == 0
    await owner.leave()


async def test_somebody_else_may_take_the_lead_and_keeps_it(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await paused(mod, bot)
    await mod.emit("assignLeader", {"name": "Moderator"})
    await until(lambda: bot.bot.snapshot().room.leader == "Moderator")
    assert await ask(mod, "next")
    assert leader(server) == "Moderator"


async def test_a_lead_that_a_moderator_gives_the_bot_is_not_kept(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    await filled(mod, bot)
    await mod.emit("assignLeader", {"name": NAME})
    await mod.wait_for("setLeader", lambda name: name == NAME)
    await until(lambda: leader(server) == "")


async def test_a_pause_that_is_not_confirmed_leaves_no_leader(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    server.room().handlers["mediaUpdate"] = lambda _session, _data: None
    assert "not confirmed" in await ask(mod, "pause")
    await until(lambda: leader(server) == "")


async def test_a_lead_that_cannot_be_given_back_is_left_with_the_room(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path, response_timeout=0.5), fast=True) as one:
        await one.in_room()
        mod = await moderator(server)
        await paused(mod, one)
        server.room().handlers["assignLeader"] = lambda _session, _data: None
        assert (await ask(mod, "next")).startswith("Playing")
        await until(lambda: leader(server) == "")
        await until(lambda: one.bot.telemetry.sessions == 2)
        await one.in_room()
        await mod.leave()


@pytest.mark.parametrize("order", ["add tw:somestreamer", "add tw:somestreamer keep"])
async def test_a_live_stream_cannot_be_paused(server: CytubeServer, bot: Running, mod: Viewer, order: str) -> None:
    await ask(mod, order)
    assert "is live: it cannot be paused" in await ask(mod, "pause")
    assert leader(server) == ""
    assert bot.bot.telemetry.error_count == 0


async def test_pause_keeps_the_present_position(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    """CyTube tells the position every five seconds; a pause between two of them jumped back to the last one."""
    await filled(mod, bot)
    await ask(mod, "jump 2")
    player = server.room().player
    await until(lambda: (now := bot.bot.snapshot().room.playback) is not None and now.position == 0 and not now.paused)
    await until(lambda: player._playback.position >= 3)
    before = player._playback.position
    assert "at 0:0" in await ask(mod, "current")
    assert (await ask(mod, "pause")).startswith("Paused")
    assert before - 0.5 <= player._playback.position <= before + 3
    assert await ask(mod, "pause") == "Going on."


async def test_after_the_last_item_nothing_plays(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await ask(mod, "add yt:aaaaaaaaaaa")
    assert await ask(mod, "next") == "That was the last item: nothing plays now."
    for order in ("current", "next", "voteskip", "pause"):
        assert await ask(mod, order) == "Nothing plays."
    assert bot.bot.telemetry.error_count == 0
    assert "place 1" in await ask(mod, "add yt:aaaaaaaaaaa")
    assert (await ask(mod, "current")).startswith("Demo two")


@pytest.mark.parametrize("order", ["voteskip", "remove 1"])
async def test_every_way_to_the_end_of_the_list_is_followed(
    server: CytubeServer, bot: Running, mod: Viewer, order: str
) -> None:
    await ask(mod, "add yt:aaaaaaaaaaa")
    await ask(mod, order)
    await until(lambda: server.room().player.current is None)
    await until(lambda: bot.bot.snapshot().room.playback is None)
    assert bot.bot.snapshot().room.current_uid is None
    assert await ask(mod, "current") == "Nothing plays."
    assert bot.bot.telemetry.error_count == 0


async def test_the_list_that_ends_by_itself_is_followed(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await ask(mod, "add yt:aaaaaaaaaaa")
    server.room().player.play_next()
    await until(lambda: bot.bot.snapshot().room.playback is None)
    assert await ask(mod, "current") == "Nothing plays."


@pytest.mark.parametrize("order", ["jump 2", "move 2 1"])
async def test_an_item_that_somebody_takes_away_meanwhile_is_no_error(
    server: CytubeServer, bot: Running, mod: Viewer, order: str
) -> None:
    await filled(mod, bot)
    player = server.room().player
    second = list(player.items)[1]

    def taken_away(session: object, _data: object) -> None:
        player.delete(session, second.uid)  # type: ignore[arg-type]  # the session is the bot's

    for event in ("jumpTo", "moveMedia"):
        server.room().handlers[event] = taken_away
    assert "off the playlist" in await ask(mod, order)
    assert bot.bot.telemetry.error_count == 0
