"""The sandbox server, and a bot in its room."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandbox.cytube import CytubeServer, Media, ServerConfig, Viewer
from tests.botcore.running import Running, moderator, running, settings_for

MEDIA = (
    Media("dQw4w9WgXcQ", "Demo one", 8),
    Media("aaaaaaaaaaa", "Demo two", 212),
    Media("bbbbbbbbbbb", "Demo three & <b>html</b>", 3725),
)


@pytest.fixture(autouse=True)
def _switch_interval() -> Iterator[None]:
    """A running bot shortens it for the whole process."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    """A bot sets up logging for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def server() -> AsyncIterator[CytubeServer]:
    """A CyTube server without the cost of real password hashing."""
    async with CytubeServer(ServerConfig(login_cost=4, media=MEDIA)) as running_server:
        yield running_server


@pytest.fixture
async def bot(server: CytubeServer, tmp_path: Path) -> AsyncIterator[Running]:
    """A bot in the room."""
    async with running(settings_for(server, tmp_path)) as one:
        yield await one.in_room()


@pytest.fixture
async def mod(server: CytubeServer, bot: Running) -> AsyncIterator[Viewer]:
    """A moderator in the room with the bot."""
    viewer = await moderator(server)
    yield viewer
    await viewer.leave()
