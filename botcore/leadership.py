"""The lead of a room: taken to pause, and given back however that ends.

While somebody leads, CyTube moves nothing by itself: the next item stands at 0 for everybody. So the bot leads only as
long as an item stands that it was told to pause. In every other case (another item began, the list ended, CyTube did
not confirm, a moderator made the bot leader) it gives the lead back at once.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from botcore.cytube.outbox import Outbox
from botcore.cytube.session import Session
from botcore.errors import ActionRefused, NoAnswer, SessionError, Unreachable
from botcore.room import Media, Room

log = logging.getLogger(__name__)

# CyTube takes no position for these, whatever their length (`util.isLive` in its source).
_LIVE = frozenset(("li", "tw", "us", "rt", "cu", "hb", "hl"))


def is_live(media: Media) -> bool:
    """Whether the medium cannot be paused."""
    return media.type in _LIVE or not media.seconds


class Leadership:
    """Pauses and goes on; `run` gives back what is not needed."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._pausing = False
        self._idle: Session | None = None
        self._wake = asyncio.Event()

    def heard(self, session: Session, event: str, _data: Any, _before: Room) -> None:
        """Follow what plays and who leads."""
        lost = event == "setLeader" and not _leads(session)
        if lost or event == "changeMedia" or session.room.playback is None:
            self._pausing = False
        self._look(session)

    async def pause(self, session: Session) -> None:
        """Stop where playback is now. Raises ActionRefused when it cannot be, or SessionError."""
        self._pausing = True
        try:
            if session.room.leader != session.name:
                await self._lead(session, session.name)
            await self._stand(session)
        except BaseException:
            self._pausing = False
            self._look(session)
            raise

    async def go_on(self, session: Session) -> None:
        """Give the lead back: CyTube plays on from where it stands. Raises SessionError."""
        await self._lead(session, "")

    async def run(self) -> None:
        """Give back the lead that nothing needs, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            session, self._idle = self._idle, None
            if session is not None and not self._pausing and _leads(session):
                await self._give_back(session)
            del session  # when it ends, nobody is to keep it

    def _look(self, session: Session) -> None:
        if session.in_room and not self._pausing and _leads(session):
            self._idle = session
            self._wake.set()

    async def _give_back(self, session: Session) -> None:
        log.info("giving the lead of the room back")
        try:
            await self._lead(session, "")
        except NoAnswer:
            # Whoever leaves leads no more. Everybody would wait for as long as we stay.
            session.end(Unreachable("CyTube does not take the lead of the room back from the bot."))
        except SessionError as error:
            log.debug("the lead went with the connection: %s", error)

    async def _lead(self, session: Session, name: str) -> None:
        def accept(event: str, data: Any, _room: Room) -> bool | None:
            return True if event == "setLeader" and data == name else None

        await self._outbox.perform(session, "assignLeader", {"name": name}, accept)

    async def _stand(self, session: Session) -> None:
        playing = session.room.playback
        if playing is None:
            raise ActionRefused("Nothing plays.")
        media, position = playing.media, session.position()

        def accept(event: str, data: Any, room: Room) -> bool | None:
            if event == "changeMedia" or room.playback is None:
                raise ActionRefused(f"{media.title} ended before it was paused.")
            if event == "setLeader" and data != session.name:
                raise ActionRefused(f"{data or 'Nobody'} is leader now.")
            return True if event == "mediaUpdate" and data.get("paused") is True else None

        request = {"id": media.id, "type": media.type, "currentTime": position, "paused": True}
        await self._outbox.perform(session, "mediaUpdate", request, accept)


def _leads(session: Session) -> bool:
    return session.room.leader == session.name
