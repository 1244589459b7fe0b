"""The other side of `benchmarks.bot_day`: a CyTube server with a crowd that lives a day in minutes.

Run as `python -m benchmarks.bot_crowd EVENTS RECONNECTS RATE`. Prints JSON lines: the server's address, then, after a
line on its standard input, what was true at the end. The crowd is seen by the bot alone, so the cost is the bot's.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import deque

from sandbox.cytube import Account, CytubeServer, ServerConfig
from sandbox.cytube.limits import Rate
from sandbox.cytube.session import Session

BOT = "RoseyBot-Test"
PASSWORD = "sandbox"
CHANNEL = "test-rosey"
PRESENT = 500
NAMES = 3000
STEP_SECONDS = 0.002
COMMANDS_PER_SECOND = 2.0
PLAYLIST = 100
# In one step: a server that is behind is not pushed further.
MOST_ACTS = 50
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


class Crowd:
    """Five hundred people at a time out of three thousand, and two moderators."""

    def __init__(self, server: CytubeServer, rng: random.Random) -> None:
        self._server = server
        self._rng = rng
        self._away = deque(f"guest{number}" for number in range(NAMES))
        self._here: deque[Session] = deque()
        self._moderators = [self._enter("Moderator", PASSWORD), self._enter("Owner", PASSWORD)]
        self._queued = 0

    async def settle(self) -> None:
        """Wait for the moderators' logins, then fill the room."""
        while len(self._server.users) < 2:
            await asyncio.sleep(0.01)
        for _ in range(PRESENT - 2):
            self._come()

    def act(self) -> None:
        """One thing that somebody does; most of it is talk."""
        choice = self._rng.random()
        if choice < 0.72:
            self._talk()
        elif choice < 0.86:
            self._do(self._somebody(), "chatMsg", {"msg": "/afk", "meta": {}})
        elif choice < 0.93:
            self._go()
            self._come()
        elif choice < 0.97:
            rank = {"name": self._somebody().name, "rank": self._rng.choice((1, 2))}
            self._do(self._moderators[1], "setChannelRank", rank)
        else:
            self._queue()

    def command(self) -> None:
        """A moderator asks the bot something."""
        order = self._rng.choice(CHAT_COMMANDS)
        self._do(self._moderators[0], "pm", {"to": BOT, "msg": order, "meta": {}})

    def _talk(self) -> None:
        # The line carries the moment it was said: the clock is the machine's, so the bot's process can compare.
        self._do(self._somebody(), "chatMsg", {"msg": f"said {time.monotonic_ns()} and some more words", "meta": {}})

    def _queue(self) -> None:
        items = self._server.room().player.as_events()
        if len(items) >= PLAYLIST:
            self._do(self._moderators[1], "delete", self._rng.choice(items)["uid"])
        else:
            self._queued += 1
            media = {"id": f"stream{self._queued}", "type": "tw", "pos": "end", "temp": True}
            self._do(self._moderators[1], "queue", media)

    def _come(self) -> None:
        self._here.append(self._enter(self._away.popleft()))

    def _go(self) -> None:
        session = self._here.popleft()
        self._away.append(session.name)
        self._server.hub.closed(session)

    def _enter(self, name: str, password: str = "") -> Session:
        session = Session(ip="10.0.0.1", outlet=None, clock=self._server.config.clock)
        self._server.hub.opened(session)
        self._do(session, "joinChannel", {"name": CHANNEL})
        self._do(session, "login", {"name": name, "pw": password})
        return session

    def _somebody(self) -> Session:
        self._here.rotate(-1)
        return self._here[0]

    def _do(self, session: Session, event: str, data: object) -> None:
        self._server.hub.handle(session, event, data)


class Day:
    """So many events at so many a second, with the bot thrown off so many times."""

    def __init__(self, server: CytubeServer, *, events: int, reconnects: int, rate: float) -> None:
        self._server = server
        self._events = events
        self._reconnects = reconnects
        self._rate = rate
        self._crowd = Crowd(server, random.Random(1))
        self._wire = server._wire

    async def live(self) -> None:
        """Play the day."""
        await self._crowd.settle()
        for number in range(self._reconnects + 1):
            await self._present()
            await self._stretch(self._events * (number + 1) // (self._reconnects + 1))
            if number < self._reconnects:
                self._server.drop_connections()

    def truth(self) -> dict[str, object]:
        """Who is there, with rank, and what is on the playlist."""
        room = self._server.room()
        return {
            "users": {name: member.rank for name in room.names if (member := room.find(name))},
            "playlist": [item["uid"] for item in room.player.as_events()],
            "current": room.player.current_uid,
        }

    async def _present(self) -> None:
        """Wait until the bot is in the room (again)."""
        async with asyncio.timeout(30):
            while BOT not in self._server.users:
                await asyncio.sleep(0.005)

    async def _stretch(self, until: int) -> None:
        """Act at the rate asked for."""
        commands = 0.0
        due, before = 0.0, time.monotonic()
        while self._wire.sent < until:
            await asyncio.sleep(STEP_SECONDS)
            now = time.monotonic()
            elapsed, before = min(now - before, 10 * STEP_SECONDS), now
            commands += elapsed * COMMANDS_PER_SECOND
            if commands >= 1:
                commands -= 1
                self._crowd.command()
            due += elapsed * self._rate
            sent = self._wire.sent + self._wire.backlog
            limit = sent + due
            for _ in range(MOST_ACTS):
                if sent >= limit or self._wire.backlog >= MOST_ACTS:
                    break
                self._crowd.act()
                sent = self._wire.sent + self._wire.backlog
            due = max(0.0, limit - sent)
            if BOT not in self._server.users:
                await self._present()


async def main(events: int, reconnects: int, rate: float) -> None:
    """Serve the day to whoever connects."""
    accounts = (
        Account(BOT, PASSWORD, rank=3),
        Account("Moderator", PASSWORD, rank=2),
        Account("Owner", PASSWORD, rank=5),
    )
    generous = Rate(burst=1_000_000, sustained=1_000_000)
    config = ServerConfig(login_cost=4, accounts=accounts, queue_rate=generous)
    async with CytubeServer(config) as server:
        _say({"url": server.url})
        await asyncio.to_thread(sys.stdin.readline)
        day = Day(server, events=events, reconnects=reconnects, rate=rate)
        await day.live()
        _say(day.truth())
        await asyncio.to_thread(sys.stdin.readline)


def _say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
