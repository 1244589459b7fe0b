"""The other side of `benchmarks.bot_day`: a CyTube server with a crowd that lives a day in minutes.

Run as `python -m benchmarks.bot_crowd EVENTS RECONNECTS RATE`. Prints JSON lines: the server's address, then, after a
line on its standard input, what was true at the end. The crowd is synthetic, so the bot is the only one who listens.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import deque

from sandbox.cytube import Account, CytubeServer, ServerConfig
from sandbox.cytube.limits import Rate

BOT = "RoseyBot-Test"
PASSWORD = "sandbox"
MODERATOR, OWNER = "Moderator", "Owner"
PRESENT = 500
NAMES = 3000
PLAYLIST = 100
STEP_SECONDS = 0.002
FEWEST_ACTS = 6
COMMANDS_PER_SECOND = 2.0
CHAT_COMMANDS = (
    "help",
    "info",
    "status",
    "stats",
    "users",
    "playlist",
    "current",
    "say on and on",
    "user guest1",
    "afk",
)


class Life:
    """Five hundred people at a time out of three thousand, two of them moderators."""

    def __init__(self, server: CytubeServer, rng: random.Random) -> None:
        self._server = server
        self._crowd = server.crowd()
        self._rng = rng
        self._away = deque(f"guest{number}" for number in range(NAMES))
        self._here: deque[str] = deque()
        self._queued = 0
        self._crowd.enter(MODERATOR, rank=2)
        self._crowd.enter(OWNER, rank=5)
        for _ in range(PRESENT - 2):
            self._come()

    def act(self) -> None:
        """One thing that somebody does; most of it is talk."""
        choice = self._rng.random()
        if choice < 0.72:
            # The line carries the moment it was said: the clock is the machine's, so the bot's process can compare.
            self._crowd.say(self._somebody(), f"said {time.monotonic_ns()} and some more words")
        elif choice < 0.86:
            self._crowd.set_afk(self._somebody(), afk=choice < 0.79)
        elif choice < 0.93:
            self._go()
            self._come()
        elif choice < 0.97:
            self._order(OWNER, "setChannelRank", {"name": self._somebody(), "rank": self._rng.choice((1, 2))})
        else:
            self._queue()

    def command(self) -> None:
        """A moderator asks the bot something."""
        self._crowd.pm(MODERATOR, BOT, self._rng.choice(CHAT_COMMANDS))

    def _queue(self) -> None:
        items = self._server.room().player.as_events()
        if len(items) >= PLAYLIST:
            self._order(OWNER, "delete", self._rng.choice(items)["uid"])
        else:
            self._queued += 1
            self._order(OWNER, "queue", {"id": f"stream{self._queued}", "type": "tw", "pos": "end", "temp": True})

    def _order(self, name: str, event: str, data: object) -> None:
        session = self._server.room().find(name)
        if session is not None:
            self._server.hub.handle(session, event, data)

    def _come(self) -> None:
        name = self._away.popleft()
        self._crowd.enter(name)
        self._here.append(name)

    def _go(self) -> None:
        name = self._here.popleft()
        self._crowd.leave(name)
        self._away.append(name)

    def _somebody(self) -> str:
        self._here.rotate(-1)
        return self._here[0]


class Day:
    """So many events at so many a second, with the bot thrown off so many times."""

    def __init__(self, server: CytubeServer, *, events: int, reconnects: int, rate: float) -> None:
        self._server = server
        self._room = server.room()
        self._events = events
        self._reconnects = reconnects
        self._rate = rate
        # In one step: a server that is behind is not pushed further, or its bursts would be counted as latency.
        self._most = max(FEWEST_ACTS, int(rate * STEP_SECONDS * 1.5))
        self._life = Life(server, random.Random(1))

    async def live(self) -> None:
        """Play the day."""
        for number in range(self._reconnects + 1):
            await self._stretch(self._events // (self._reconnects + 1) + 1)
            if number < self._reconnects:
                self._server.drop_connections()
        await self._server.drained()

    def truth(self) -> dict[str, object]:
        """Who is there, with rank, and what is on the playlist."""
        return {
            "users": {name: member.rank for name in self._room.names if (member := self._room.find(name))},
            "playlist": [item["uid"] for item in self._room.player.as_events()],
            "current": self._room.player.current_uid,
        }

    async def _present(self) -> None:
        """Wait until the bot is in the room (again)."""
        async with asyncio.timeout(60):
            while BOT not in self._server.users:
                await asyncio.sleep(0.005)

    async def _stretch(self, events: int) -> None:
        """Act until the bot was told so many events, at the rate asked for."""
        await self._present()
        until = self._room.told + events
        commands, due, before = 0.0, 0.0, time.monotonic()
        while self._room.told < until:
            await asyncio.sleep(STEP_SECONDS)
            await self._server.drained(self._most)
            now = time.monotonic()
            elapsed, before = min(now - before, 2 * STEP_SECONDS), now
            commands += elapsed * COMMANDS_PER_SECOND
            if BOT not in self._server.users:
                await self._present()
            if commands >= 1:
                commands -= 1
                self._life.command()
            due = self._acts(due + elapsed * self._rate)

    def _acts(self, due: float) -> float:
        """Let happen what is due; returns what is still due."""
        begin = self._room.told
        for _ in range(self._most):
            if self._room.told - begin >= due:
                break
            self._life.act()
        return max(0.0, due - (self._room.told - begin))


async def main(events: int, reconnects: int, rate: float) -> None:
    """Serve the day to whoever connects."""
    generous = Rate(burst=1_000_000, sustained=1_000_000)
    config = ServerConfig(login_cost=4, accounts=(Account(BOT, PASSWORD, rank=3),), queue_rate=generous)
    async with CytubeServer(config) as server:
        day = Day(server, events=events, reconnects=reconnects, rate=rate)
        _say({"url": server.url})
        await asyncio.to_thread(sys.stdin.readline)
        gc.disable()  # a pause of the server for its own garbage would be counted as latency of the bot
        await day.live()
        _say(day.truth())
        await asyncio.to_thread(sys.stdin.readline)


def _say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
