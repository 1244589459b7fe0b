"""A bot that runs in this process against the sandbox server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from botcore.bot import Bot
from botcore.config import Channel, Settings, User
from botcore.credentials import Credentials
from botcore.cytube.backoff import Backoff, Pace
from botcore.cytube.connection import pacing
from botcore.errors import SessionError
from botcore.telemetry import Telemetry
from sandbox.cytube import SANDBOX_PASSWORD, CytubeServer, Viewer

CHANNEL = "test-rosey"
NAME = "RoseyBot-Test"
TIMEOUT = 60.0


async def until(condition: Callable[[], Any], *, deadline: float = TIMEOUT, why: str = "") -> None:
    """Wait for a condition."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {why or condition}")
        await asyncio.sleep(0.005)


def settings_for(server: CytubeServer, data: Path, **changes: Any) -> Settings:
    """Settings for the sandbox; `user` and `channel` may be given as values."""
    given: dict[str, Any] = {
        "domain": server.url,
        "channel": Channel(name=CHANNEL),
        "user": User(name=NAME),
        "data_dir": data,
        "response_timeout": 1.0,
        "chat_log": None,
        "media_log": None,
    }
    return Settings(**{**given, **changes})


def secret(value: str | None) -> SecretStr | None:
    return None if value is None else SecretStr(value)


def secrets(password: str | None = SANDBOX_PASSWORD, channel: str | None = None) -> Credentials:
    return Credentials(secret(password), secret(channel), None)


def hurried(settings: Settings) -> Backoff:
    """The real paces, a hundred times faster, so that a test sees several attempts."""
    real = pacing(settings)
    return Backoff(
        {kind: Pace(pace.first / 100, pace.cap / 100, pace.stable / 100) for kind, pace in real.paces.items()}
    )


class Running:
    """A bot, and everything it reported."""

    def __init__(self, bot: Bot) -> None:
        self.bot = bot
        self.reasons: list[str] = []
        self.connected_ever = False
        self._report = bot.connection._changed
        bot.connection._changed = self._changed

    def _changed(self, status: Any) -> None:
        self.connected_ever = self.connected_ever or status.connected
        if status.retry_in is not None:
            self.reasons.append(status.reason)
        self._report(status)

    @property
    def connected(self) -> bool:
        return self.bot.snapshot().connected

    @property
    def ended(self) -> dict[str, int]:
        """Why sessions ended, and how often."""
        return dict(self.bot.telemetry.ended)

    async def in_room(self, *, deadline: float = TIMEOUT) -> Running:
        await until(lambda: self.connected, deadline=deadline, why=f"in the room; {self.reasons}")
        return self

    async def ended_with(self, kind: type[SessionError], *, times: int = 1, deadline: float = TIMEOUT) -> None:
        await until(
            lambda: self.ended.get(kind.reason, 0) >= times, deadline=deadline, why=f"{kind.reason}: {self.ended}"
        )


@contextlib.asynccontextmanager
async def running(
    settings: Settings, credentials: Credentials | None = None, *, fast: bool = False
) -> AsyncIterator[Running]:
    """Run a bot as long as the block lasts; it leaves no task behind."""
    before = asyncio.all_tasks()
    bot = Bot(settings, credentials or secrets(), telemetry=Telemetry(), pacing=hurried if fast else pacing)
    task = asyncio.create_task(bot.run())
    try:
        yield Running(bot)
    finally:
        bot.stop()
        await asyncio.wait_for(task, TIMEOUT)
    await until(lambda: not _left(before), why=f"tasks left: {_left(before)}")


def _left(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    return {
        task
        for task in asyncio.all_tasks() - before
        if "botcore" in repr(task) or "engineio.async_client" in repr(task)
    }


async def moderator(server: CytubeServer, *, name: str = "Moderator") -> Viewer:
    """A moderator in the room."""
    return await Viewer.join(server.url, CHANNEL, name, SANDBOX_PASSWORD)
