"""`--check --login` lets in whom the running bot would be let in, and never puts that one out."""

from __future__ import annotations

from pathlib import Path

import pytest

from botcore.config import Health, User
from botcore.cytube.login_check import try_login
from botcore.errors import BotError, ChannelRefused
from botcore.health.server import HealthServer
from sandbox.cytube import Account, Channel, CytubeServer, ServerConfig
from tests.botcore.running import CHANNEL, NAME, running, secrets, settings_for, until
from tests.botcore.test_process import free_port

ACCOUNTS = (Account(NAME, "sandbox", rank=2), Account("Plain", "sandbox", rank=1))


def room(password: str = "", **options: object) -> CytubeServer:
    """A server with such a room."""
    config = ServerConfig(login_cost=4, accounts=ACCOUNTS, channels=(Channel(CHANNEL, password=password),))
    server = CytubeServer(config)
    server.room().board.options |= options
    return server


async def test_a_moderator_enters_a_room_with_a_password(tmp_path: Path) -> None:
    async with room("sesame") as server:
        await try_login(settings_for(server, tmp_path), secrets())
        await until(lambda: not server.connections)


async def test_a_room_without_anonymous_people_is_entered(tmp_path: Path) -> None:
    async with room(block_anonymous_users=True) as server:
        await try_login(settings_for(server, tmp_path), secrets())
        plain = settings_for(server, tmp_path, user=User(name="Plain"))
        await try_login(plain, secrets())
        await until(lambda: not server.connections)


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_whoever_needs_the_password_is_told(tmp_path: Path, password: str | None) -> None:
    async with room("sesame") as server:
        plain = settings_for(server, tmp_path, user=User(name="Plain"), response_timeout=1.0)
        with pytest.raises(ChannelRefused, match="password"):
            await try_login(plain, secrets(channel=password))


async def test_the_bot_of_this_machine_is_not_put_out_of_a_room_that_nobody_sees_into(
    tmp_path: Path,
) -> None:
    async with room("sesame") as server:
        health = Health(port=free_port())
        settings = settings_for(server, tmp_path, health=health)
        async with running(settings) as one:
            await one.in_room()
            HealthServer(health.host, health.port, one.bot.snapshot)
            with pytest.raises(BotError, match="would put that session out"):
                await try_login(settings, secrets())
            assert one.connected
            assert one.ended == {}


async def test_the_account_in_the_room_is_seen_through_an_open_door(tmp_path: Path) -> None:
    async with room() as server, running(settings_for(server, tmp_path)) as one:
        await one.in_room()
        with pytest.raises(BotError, match="would put that session out"):
            await try_login(settings_for(server, tmp_path), secrets())
        assert one.ended == {}
