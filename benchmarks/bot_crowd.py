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
CHAT_COMMANDS = ("help", "info", "status", "stats", "users", "playlist", "current", "say on and on", "user guest1", "afk")


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
            self._do(self._moderators[1], "setChannelRank", {"name": self._somebody().name, "rank": self._rng.choice((0, 1))})
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
        items = self._server.room().playlist.items
        if len(items) >= PLAYLIST:
            self._do(self._moderators[1], "delete", items[self._rng.randrange(len(items))].uid)
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
