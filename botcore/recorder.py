"""Writes down who is here and what they say: statistics to bot.db, lines to the transcripts."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from botcore import markup
from botcore.cytube.session import Session, live_chat
from botcore.logs import CHAT, MEDIA
from botcore.memory import ledger, people
from botcore.memory.store import Store
from botcore.room import Room

FLUSH_SECONDS = 30.0
COUNT_SECONDS = 300.0
MAINTENANCE_SECONDS = ledger.DAY

_COMINGS_AND_GOINGS = frozenset({"userlist", "addUser", "userLeave"})

chat_log = logging.getLogger(CHAT)
media_log = logging.getLogger(MEDIA)


@dataclass(frozen=True, slots=True)
class _Stay:
    """Somebody who is here. The moment by the wall clock, the duration by one that nobody can set."""

    name: str
    since: float
    began: float

    def until(self, at: float, now: float, lines: int) -> people.Person:
        """What there is to remember of it at a moment."""
        return people.Person(self.name, self.since, at, lines, now - self.began)


class Recorder:
    """Adds up in memory and writes every 30 seconds, so that a busy room costs one write, not thousands."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._here: dict[str, _Stay] = {}
        self._lines: dict[str, int] = {}
        self._gone: list[people.Person] = []
        self._session: Session | None = None
        self._peak = 0
        self._playing = ""

    def heard(self, session: Session, event: str, data: Any, before: Room) -> None:
        """Follow one event."""
        room = session.room
        self._session = session
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
        self._session = None
        self._follow(Room())
        self.flush()

    def flush(self) -> None:
        """Write what was added up."""
        at, now = time.time(), time.monotonic()
        seen = self._gone
        for key, stay in self._here.items():
            seen.append(stay.until(at, now, self._lines.pop(key, 0)))
            self._here[key] = _Stay(stay.name, at, now)
        self._gone, self._lines = [], {}
        if seen:
            self._store.write(lambda connection: people.add(connection, seen))

    async def run(self) -> None:
        """Flush, count and forget until cancelled."""
        counted = maintained = -math.inf
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()
            now = time.monotonic()
            if now - counted >= COUNT_SECONDS and self._session is not None and self._session.in_room:
                counted = now
                self._count(time.time(), self._session.room)
            if now - maintained >= MAINTENANCE_SECONDS:
                maintained = now
                self._maintain(time.time())

    def _count(self, now: float, room: Room) -> None:
        named, total = len(room.users), room.people
        self._store.write(lambda connection: people.count(connection, at=now, named=named, total=total))

    def _maintain(self, now: float) -> None:
        self._store.write(lambda connection: ledger.forget(connection, now=now))

    def _follow(self, room: Room) -> None:
        at, now = time.time(), time.monotonic()
        for key in self._here.keys() - room.users.keys():
            self._gone.append(self._here.pop(key).until(at, now, self._lines.pop(key, 0)))
        for key in room.users.keys() - self._here.keys():
            self._here[key] = _Stay(room.users[key].name, at, now)

    def _line(self, room: Room, data: Any) -> None:
        name, message = str(data.get("username")), str(data.get("msg"))
        chat_log.info("%s: %s", markup.one_line(name), markup.one_line(markup.plain(message)))
        if name.lower() in self._here:
            self._lines[name.lower()] = self._lines.get(name.lower(), 0) + 1
