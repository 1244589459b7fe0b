"""An evening in the life of a bot: three moderators, two hundred people, five cuts and a restart of the server.

What is compressed is how densely orders and people come: `DENSITY` times as they would. Nothing that hangs on a clock
is: flood limits, playback, lead-in, timeouts, reconnect delays and the response question run in real time. Alerts are
judged in the evening's own time: a sample every `SAMPLE / DENSITY` seconds stands for one every `SAMPLE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botcore.health.metrics import render
from botcore.room import Room
from sandbox.cytube import CytubeServer, Media, ServerConfig
from tests.botcore.running import NAME, Running, running, settings_for, until

DENSITY = 12.0
SAMPLE = 15.0
WATCHED = ("bot_errors_total", "bot_requests_total", "bot_connected", "bot_users")
RANKS = {"Mia": 2.0, "Max": 2.0, "Moe": 3.0}
BOSS = "Boss"
MEDIA = tuple(Media(f"video{number:06d}", f"Film {number}", 4 + number % 40) for number in range(80))
PLAIN = ("status", "help", "info", "users", "stats", "playlist", "current", "help kick")
LIST = ("remove 1", "remove 3", "move 2 1", "move 1 3", "jump 2", "next", "voteskip", "pause", "pause")
WRONG = (f"kick {BOSS}", "kick Nobody", "dance", "remove 999", "add nothing", "pm Nobody hello", "jump x", "help dance")


@dataclass
class Evening:
    """What came of it."""

    orders: int
    cuts: int
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    said: Counter[str] = field(default_factory=Counter)
    ordered: dict[str, str] = field(default_factory=dict)
    outbound: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    differs: str = "never compared"
    samples: list[dict[str, float]] = field(default_factory=list)

    def lost(self) -> list[str]:
        """Lines that the bot reported as said, and which nobody saw."""
        return [text for text, outcome in self.ordered.items() if outcome == "ok" and not self.said[text]]

    def twice(self) -> list[str]:
        """Lines that were said more than once."""
        return [text for text, times in self.said.items() if times > 1]

    def altered(self) -> list[str]:
        """Lines of the bot that nobody ordered."""
        return [text for text in self.said if text not in self.ordered]


class Host:
    """Lets the people live and gives the orders."""

    def __init__(self, server: CytubeServer, bot: Running, evening: Evening) -> None:
        self._server = server
        self._bot = bot
        self._evening = evening
        self._rng = random.Random(7)
        self._given = 0
        self._arrivals = self._people = 0

    def open(self, people: int) -> None:
        """Everybody comes (back)."""
        crowd, self._people = self._server.crowd(), people
        for name, rank in {**RANKS, BOSS: 5.0}.items():
            crowd.enter(name, rank=rank)
        for _ in range(people):
            self._arrive()

    async def order(self) -> None:
        """A moderator asks the bot for something, once it is there."""
        await until(lambda: self._server.room().find(NAME) is not None and self._bot.connected, deadline=60)
        crowd, who, words = self._server.crowd(), self._rng.choice(list(RANKS)), self._words()
        if not crowd.has(who):  # kicked by another moderator
            crowd.enter(who, rank=RANKS[who])
            await until(lambda: self._bot.bot.snapshot().room.user(who) is not None)
        self._given += 1
        crowd.pm(who, NAME, words)

    def people(self) -> None:
        """Somebody talks, comes, goes or is away."""
        crowd, choice = self._server.crowd(), self._rng.random()
        names = [name for name in crowd.names if name.startswith("guest")]
        if choice < 0.6:
            crowd.say(self._rng.choice(names), f"chatter {self._given}")
        elif choice < 0.8:
            crowd.set_afk(self._rng.choice(names), afk=choice < 0.7)
        else:
            crowd.leave(self._rng.choice(names))
            for _ in range(self._people - len(names) + 1):
                self._arrive()

    def _words(self) -> str:
        choice = self._rng.random()
        if choice < 0.3:
            return f"say line {self._given} — “grüße” & all, 1 < 2"
        if choice < 0.5:
            return self._rng.choice(PLAIN)
        if choice < 0.7:
            return f"add yt:{self._rng.choice(MEDIA).id} {self._rng.choice(('', 'next', 'keep'))}"
        if choice < 0.75:
            return f"add tw:stream{self._given % 5}"
        if choice < 0.88:
            return self._rng.choice(LIST)
        if choice < 0.92:
            return f"kick {self._rng.choice(self._server.crowd().names)}"
        return self._rng.choice(WRONG)

    def _arrive(self) -> None:
        self._arrivals += 1
        self._server.crowd().enter(f"guest{self._arrivals}")


async def spend(folder: Path, *, orders: int, people: int, every: float, cuts: int) -> Evening:
    """An evening of so many orders, one every so many seconds; cuts and the restart are spread over it."""
    evening = Evening(orders, cuts)
    config = ServerConfig(login_cost=4, media=MEDIA)
    async with CytubeServer(config) as server, running(settings_for(server, folder, response_timeout=3.0)) as bot:
        host = Host(server, bot, evening)
        host.open(people)
        await bot.in_room()
        watching = asyncio.create_task(_watch(bot, evening))
        began = time.monotonic()
        cut_at = {orders * number // (cuts + 1) for number in range(1, cuts + 1)}
        for number in range(orders):
            if number in cut_at:
                server.drop_connections()
            if number == orders * 7 // 12:
                await server.restart(downtime=1.0)
                host.open(people)
            await host.order()
            host.people()
            await asyncio.sleep(max(0.0, began + (number + 1) * every - time.monotonic()))
        await _come_to_rest(server, bot)
        evening.seconds = time.monotonic() - began
        watching.cancel()
        await _judge(server, bot, evening)
    return evening


async def _come_to_rest(server: CytubeServer, bot: Running) -> None:
    """All orders done; then somebody presses "next", so that no pause is left."""
    await until(lambda: bot.connected and not bot.bot.dispatcher._waiting and not len(bot.bot.outbox), deadline=120)
    server.room().player.play_next()
    await until(lambda: server.room().player.leader is None, why="the lead is given back")


async def _watch(bot: Running, evening: Evening) -> None:
    while True:
        page = render(bot.bot.snapshot()).decode()
        lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith(WATCHED))
        evening.samples.append({series: float(value) for series, _, value in lines})
        await asyncio.sleep(SAMPLE / DENSITY)


async def _judge(server: CytubeServer, bot: Running, evening: Evening) -> None:
    store = bot.bot.store
    rows = await store.run(lambda c: c.execute("SELECT command, argument, outcome FROM actions").fetchall(), timeout=30)
    evening.outcomes = Counter(outcome for _, _, outcome in rows)
    evening.ordered = {argument: outcome for command, argument, outcome in rows if command == "say"}
    statuses = await store.run(lambda c: c.execute("SELECT status FROM outbound").fetchall(), timeout=30)
    evening.outbound = Counter(status for (status,) in statuses)
    evening.errors = dict(bot.bot.telemetry.errors)
    evening.sessions = bot.bot.telemetry.sessions
    evening.said = Counter(line.text for line in server.chat_log if line.username == NAME)
    evening.lines = sum(line.username == NAME for line in [*server.chat_log, *server.pm_log])
    with contextlib.suppress(AssertionError):
        await until(lambda: not _difference(server, bot.bot.snapshot().room), deadline=60)
    evening.differs = _difference(server, bot.bot.snapshot().room)


def _difference(server: CytubeServer, seen: Room) -> str:
    """What the bot sees differently from what is; "" when nothing."""
    room = server.room()
    player = room.player
    truth: dict[str, Any] = {
        "people": {member.name: member.rank for member in room.members if member.name},
        "playlist": [item.uid for item in player.items],
        "current": player.current_uid,
        "playing": None if player.current is None else player.current.media.id,
        "leader": "" if player.leader is None else player.leader.name,
        "count": room.count(),
    }
    view = {
        "people": {user.name: user.rank for user in seen.users.values()},
        "playlist": [item.uid for item in seen.playlist],
        "current": seen.current_uid,
        "playing": None if seen.playback is None else seen.playback.media.id,
        "leader": seen.leader,
        "count": seen.people,
    }
    return ", ".join(f"{key}: {view[key]!r}, not {truth[key]!r}" for key in truth if view[key] != truth[key])
