"""How fast CyTube answers: a small question asked every half minute, whatever else goes on.

The question is a PM to itself, which CyTube refuses and which changes nothing (recording, scenario 06).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from botcore.cytube.outbox import Outbox
from botcore.cytube.session import Session
from botcore.errors import NoAnswer, SessionError
from botcore.room import Room
from botcore.telemetry import Telemetry

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0


class ResponseTime:
    """Measures, at once on every connection and then every half minute. No answer counts as the whole wait for it."""

    def __init__(self, outbox: Outbox, session: Callable[[], Session | None], telemetry: Telemetry) -> None:
        self._outbox = outbox
        self._session = session
        self._telemetry = telemetry
        self._connected = asyncio.Event()

    def changed(self) -> None:
        """The session changed."""
        self._connected.set()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self._connected.clear()
            if (session := self._session()) is not None:
                await self._measure(session)
                del session  # when it ends, nobody is to keep it
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._connected.wait()

    async def _measure(self, session: Session) -> None:
        try:
            async with self._outbox.turn(session, "pm"):
                began = time.monotonic()
                await session.ask("pm", {"to": session.name, "msg": "?", "meta": {}}, _any_answer)
                self._telemetry.answered(time.monotonic() - began)
        except NoAnswer:
            self._telemetry.answered(session.timeout)
        except SessionError as error:
            log.debug("the question went with the connection: %s", error)


def _any_answer(event: str, _data: Any, _room: Room) -> bool | None:
    return True if event in {"errorMsg", "cooldown"} else None
