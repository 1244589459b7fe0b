"""Writes down who is here and what they say: statistics to bot.db, lines to the transcripts."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from botcore import markup
from botcore.logs import CHAT, MEDIA
from botcore.memory import ledger, people
from botcore.memory.store import Store
from botcore.room import Room
from botcore.session import Session, live_chat

FLUSH_SECONDS = 30.0
COUNT_SECONDS = 300.0
MAINTENANCE_SECONDS = ledger.DAY

_COMINGS_AND_GOINGS = frozenset({"userlist", "addUser", "userLeave"})

chat_log = logging.getLogger(CHAT)
media_log = logging.getLogger(MEDIA)


class Recorder:
    """Adds up in memory and writes every 30 seconds, so that a busy room costs one write, not thousands."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._here: dict[str, tuple[str, float]] = {}
        self._lines: dict[str, int] = {}
        self._gone: list[people.Person] = []
        self._room = Room()
        self._peak = 0
        self._playing = ""

    def heard(self, session: Session, event: str, data: Any, before: Room) -> None:
        """Follow one event."""
        room = session.room
        self._room = room
        if event in _COMINGS_AND_GOINGS:
            self._follow(room)
        if event == "chatMsg":
            if live_chat(event, before):
                self._line(room, data)
        elif event == "usercount" and room.user_count > self._peak:
            self._peak = total = room.user_count
            now = time.time()
            self._store.write(lambda connection: people.peak(connection, at=now, total=total))
        elif event == "changeMedia" and room.playback is not None and room.playback.media.id != self._playing:
            self._playing = room.playback.media.id
            media = room.playback.media
            media_log.info("%s", markup.one_line(f"{media.title} {media.type}:{media.id} ({media.duration})"))

    def left(self) -> None:
        """The bot is out of the room: nobody can be seen any more."""
        self._room = Room()
        self._follow(self._room)
        self.flush()

    def flush(self) -> None:
        """Write what was added up."""
        now = time.time()
        seen = self._gone
        for key, (name, since) in self._here.items():
            seen.append(people.Person(name, since, now, self._lines.pop(key, 0), now - since))
            self._here[key] = (name, now)
        self._gone, self._lines = [], {}
        if seen:
            self._store.write(lambda connection: people.add(connection, seen))

    async def run(self) -> None:
        """Flush, count and forget until cancelled."""
        counted = maintained = 0.0
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()
            now = time.time()
            if now - counted >= COUNT_SECONDS and self._room.listed:
                counted, named, total = now, len(self._room.users), self._room.user_count
                self._count(now, named, total)
            if now - maintained >= MAINTENANCE_SECONDS:
                maintained = now
                self._maintain(now)

    def _count(self, now: float, named: int, total: int) -> None:
        self._store.write(lambda connection: people.count(connection, at=now, named=named, total=total))

    def _maintain(self, now: float) -> None:
        self._store.write(lambda connection: ledger.forget(connection, now=now))

    def _follow(self, room: Room) -> None:
        now = time.time()
        for key in self._here.keys() - room.users.keys():
            name, since = self._here.pop(key)
            self._gone.append(people.Person(name, since, now, self._lines.pop(key, 0), now - since))
        for key in room.users.keys() - self._here.keys():
            self._here[key] = (room.users[key].name, now)

    def _line(self, room: Room, data: Any) -> None:
        name, message = str(data.get("username")), str(data.get("msg"))
        chat_log.info("%s: %s", markup.one_line(name), markup.one_line(markup.plain(message)))
        if name.lower() in self._here:
            self._lines[name.lower()] = self._lines.get(name.lower(), 0) + 1
