"""Every event of a session, handed to whoever needs it, measured and never fatal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from botcore.cytube.session import Session
from botcore.errors import BotError
from botcore.room import REDUCERS, Room
from botcore.telemetry import Telemetry

log = logging.getLogger(__name__)

Observer = Callable[[Session, str, Any, Room], None]


class Events:
    """Calls each observer in turn; an exception in one is counted, logged once per event, and ends there."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._observers: list[Observer] = []
        self._said: set[tuple[str, str]] = set()

    def subscribe(self, observer: Observer) -> None:
        """Hear every applied event; must not block."""
        self._observers.append(observer)

    def heard(self, session: Session, event: str, data: Any, before: Room) -> None:
        """An event was applied."""
        started = time.perf_counter()
        self._telemetry.events[event] += 1
        for observer in self._observers:
            try:
                observer(session, event, data, before)
            except Exception as error:
                self._telemetry.failed("handler")
                if self._first(event, type(error).__name__):
                    log.exception("a handler failed at %s", event)
        self._telemetry.latency.observe(time.perf_counter() - started)

    def rejected(self, event: str, error: BotError) -> None:
        """An event was unknown or malformed. Names are the server's, so unknown ones share one label."""
        self._telemetry.events[event if event in REDUCERS else "other"] += 1
        self._telemetry.rejected[error.reason] += 1
        if self._first(event if event in REDUCERS else event[:40], error.reason):
            log.warning("ignored from now on: %s", str(error)[:200], extra={"reason": error.reason})

    def _first(self, event: str, reason: str) -> bool:
        if (event, reason) in self._said or len(self._said) > 500:
            return False
        self._said.add((event, reason))
        return True
