"""What CyTube never answers is answered by the bot, at once and truly; what CyTube says is known."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from botcore.cytube.refusals import from_connect, from_kick
from botcore.errors import Banned, RateLimited
from botcore.room import Room, User, reduce
from sandbox.cytube import CytubeServer, Viewer
from tests.botcore.running import CHANNEL, Running, running, settings_for, until
from tests.botcore.test_commands import ask, filled


async def set_permissions(server: CytubeServer, bot: Running, **ranks: float) -> None:
    server.room().permissions |= ranks
    server.room().broadcast("setPermissions", server.room().permissions)
    await until(lambda: bot.bot.snapshot().room.permissions.items() >= ranks.items())


async def quickly(viewer: Viewer, text: str) -> str:
    """The answer, which must not have waited for the server's deadline (1 s here)."""
    began = time.monotonic()
    answer = await ask(viewer, text)
    assert time.monotonic() - began < 0.9
    return answer


@pytest.mark.parametrize(
    ("permission", "orders"),
    [
        ("chat", ("say hello", "clear", "afk", "kick Viewer")),
        ("voteskip", ("voteskip",)),
        ("seeplaylist", ("playlist", "add tw:other", "remove 1", "move 1 2", "jump 2")),
        ("kick", ("kick Viewer",)),
        ("playlistaddlive", ("add tw:other",)),
        ("addnontemp", ("add tw:other keep",)),
    ],
)
async def test_what_the_bot_may_not_is_said_at_once(
    server: CytubeServer, bot: Running, mod: Viewer, permission: str, orders: tuple[str, ...]
) -> None:
    await filled(mod, bot)
    viewer = await Viewer.join(server.url, CHANNEL, "Viewer", "sandbox")
    await until(lambda: bot.bot.snapshot().room.user("Viewer") is not None)
    await set_permissions(server, bot, **{permission: 4.0, f"o{permission}": 4.0})
    for order in orders:
        assert "I may not do that" in await quickly(mod, order), order
    assert bot.bot.telemetry.error_count == 0
    await viewer.leave()


async def test_a_second_vote_is_told_from_the_first(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    for name in ("One", "Two", "Three"):
        server.crowd().enter(name)
    assert "votes" in await ask(mod, "voteskip") or "vote" in await ask(mod, "voteskip")
    assert "voted already" in await quickly(mod, "voteskip")
    await ask(mod, "jump 2")
    assert "vote" in await ask(mod, "voteskip")
    assert bot.bot.telemetry.error_count == 0


async def test_a_vote_counts_anew_after_afk(server: CytubeServer, bot: Running, mod: Viewer) -> None:
    await filled(mod, bot)
    for name in ("One", "Two", "Three"):
        server.crowd().enter(name)
    await ask(mod, "voteskip")
    await ask(mod, "afk")
    assert "already" not in await ask(mod, "voteskip")


async def test_a_vote_whose_count_is_hidden_is_given_all_the_same(
    server: CytubeServer, bot: Running, mod: Viewer
) -> None:
    await filled(mod, bot)
    server.crowd().enter("One")
    server.crowd().enter("Two")
    await set_permissions(server, bot, viewvoteskip=4.0)
    assert "I voted" in await quickly(mod, "voteskip")
    await until(lambda: server.room().votes._skips)
    assert "voted already" in await quickly(mod, "voteskip")


async def test_a_ban_from_the_whole_server_is_a_ban(server: CytubeServer, tmp_path: Path) -> None:
    server.hub.banned.add("127.0.0.1")
    async with running(settings_for(server, tmp_path), fast=True) as one:
        await one.ended_with(Banned)
        assert "banned this address" in one.reasons[0]
        server.hub.banned.clear()
        await one.in_room()


def test_refusals_are_told_apart() -> None:
    assert type(from_kick("Your IP is globally banned.")) is Banned
    assert type(from_connect("You are banned from the server")) is Banned
    assert type(from_connect("Too many connections from your IP address")) is RateLimited
    assert type(from_connect("Rate limit exceeded")) is RateLimited


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("announcement", {"title": "Maintenance", "text": "tonight", "from": "admin"}),
        ("updateChatFilter", {"name": "cats", "source": "x", "flags": "g", "replace": "y", "active": True}),
        ("deleteChatFilter", {"name": "cats"}),
        ("addFilterSuccess", None),
        ("queueWarn", {"msg": "Video is blocked in the following countries: DE", "link": "http://youtu.be/x"}),
        ("costanza", {"msg": "You can't ban yourself"}),
        ("validationError", {"target": "#cs-externalcss", "message": "not a URL", "forced": True}),
        ("validationPassed", {"target": "#cs-externalcss"}),
        ("warnLargeChandump", {"limit": 1048576, "actual": 2000000}),
        ("partitionChange", "cytube-2"),
        ("setUserProfile", {"name": "nobody", "profile": {"image": "", "text": ""}}),
    ],
)
async def test_ordinary_events_are_known(server: CytubeServer, bot: Running, event: str, data: object) -> None:
    server.room().broadcast(event, data)
    await until(lambda: bot.bot.telemetry.events[event] == 1)
    assert bot.bot.telemetry.rejected == {}
    assert bot.connected


def test_a_profile_is_kept() -> None:
    room = Room(users={"ann": User("Ann", 1)})
    room = reduce(room, "setUserProfile", {"name": "ann", "profile": {"text": "hi", "image": "https://a.test/i.png"}})
    assert room.user("Ann") == User("Ann", 1, profile_text="hi", profile_image="https://a.test/i.png")
