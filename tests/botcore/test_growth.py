"""What ended is freed at once: the garbage of a broken connection does not wait for a full collection, which a quiet
bot reaches once in hours."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from botcore.cytube.session import Session
from sandbox.cytube import CytubeServer
from tests.botcore.running import Running, moderator, running, settings_for, until
from tests.botcore.test_commands import ask


def _sessions(bot: Running, number: int) -> bool:
    return bot.bot.telemetry.sessions == number


def _freed(reference: weakref.ref[Session]) -> bool:
    return reference() is None


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collection")
async def test_a_session_that_ended_is_freed_without_the_collector(server: CytubeServer, tmp_path: Path) -> None:
    async with running(settings_for(server, tmp_path), fast=True) as one:
        for number in (1, 2, 3):
            await one.in_room()
            mod = await moderator(server)
            await ask(mod, "say hello")
            await ask(mod, "status")
            session = one.bot.connection.session
            assert session is not None
            ended = weakref.ref(session)
            del session
            server.drop_connections()
            await until(functools.partial(_sessions, one, number + 1))
            await until(functools.partial(_freed, ended))
            await mod.leave()
