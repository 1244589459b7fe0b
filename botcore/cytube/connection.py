"""Keeps one session in the room, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable

import aiohttp

from botcore.config import Settings
from botcore.credentials import Credentials
from botcore.cytube import backoff, resolve
from botcore.cytube.session import Identity, Listener, Session
from botcore.cytube.wire import Wire
from botcore.errors import (
    Banned,
    ChannelRefused,
    DuplicateLogin,
    LoginRefused,
    NoAnswer,
    SessionError,
    Unreachable,
)
from botcore.status import Status
from botcore.telemetry import Telemetry

log = logging.getLogger(__name__)

# CyTube connects in well under five seconds; a short response timeout must not cut the handshake short.
CONNECT_SECONDS = 5.0
# A person has to do something about these; everything else heals by itself.
_PERSONAL = (Banned, ChannelRefused, DuplicateLogin, LoginRefused)


def identity(settings: Settings, credentials: Credentials) -> Identity:
    """Who the bot is, from its settings."""
    return Identity(
        channel=settings.channel.name,
        channel_password=credentials.channel_password,
        name=settings.user.name,
        password=None if settings.user.guest else credentials.user_password,
    )


def pacing(settings: Settings) -> backoff.Backoff:
    """The paces of `botcore.cytube.backoff`, with the delays for a lost connection from the settings."""
    network = dataclasses.replace(
        backoff.NETWORK, first=settings.restart_delay, cap=max(settings.restart_delay, settings.retry_delay)
    )
    return backoff.Backoff({**backoff.PACES, Unreachable: network, NoAnswer: network})


class Connection:
    """Opens sessions one after the other; `session` is the one in the room, if there is one."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        *,
        listener: Listener,
        telemetry: Telemetry,
        changed: Callable[[Status], None],
        pacing: Callable[[Settings], backoff.Backoff] = pacing,
    ) -> None:
        self.session: Session | None = None
        self.status = Status(connected=False, since=time.monotonic(), reason="starting")
        self._settings = settings
        self._identity = identity(settings, credentials)
        self._listener = listener
        self._telemetry = telemetry
        self._changed = changed
        self._pacing = pacing
        self._backoff = pacing(settings)
        self._wake = asyncio.Event()
        self._anonymous = 0

    def reload(self, settings: Settings, credentials: Credentials) -> None:
        """Use new settings from the next session on, and end a wait at once."""
        self._settings = settings
        self._identity = identity(settings, credentials)
        self._backoff = self._pacing(settings)
        self._wake.set()

    async def run(self) -> None:
        """Connect and reconnect until cancelled; leaves the channel then."""
        while True:
            error, stood = await self._stay()
            self._telemetry.ended[error.reason] += 1
            wait = self._backoff.after(error, stood=stood)
            self._report(error, wait)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _stay(self) -> tuple[SessionError, float]:
        """One session from start to end: why it ended, and how many seconds it was in the room."""
        session = Session(
            self._identity, self._listener, timeout=self._settings.response_timeout, anonymous=self._anonymous
        )
        entered = 0.0
        deadline = max(CONNECT_SECONDS, self._settings.response_timeout)
        async with aiohttp.ClientSession() as http:
            wire = Wire(http, on_event=session.received, on_close=session.disconnected)
            try:
                url = await resolve.socket_server(http, self._settings.domain, self._identity.channel, timeout=deadline)
                await session.enter(wire, url, connect_timeout=deadline)
                entered = time.monotonic()
                self._entered(session)
                reason = await session.ended
            except SessionError as error:
                reason = error
            finally:
                session.in_room = False
                self.session = None
                if session.room.user_count:
                    self._anonymous = session.room.people - len(session.room.users)
                if entered:
                    self._set(Status(connected=False, since=time.monotonic(), reason="leaving"))
                await wire.close()
        # Its traceback would keep the whole session alive.
        return reason.with_traceback(None), time.monotonic() - entered if entered else 0.0

    def _entered(self, session: Session) -> None:
        self.session = session
        self._telemetry.sessions += 1
        log.info("in the room %s as %s", self._identity.channel, self._identity.name)
        self._set(Status(connected=True, since=time.monotonic()))

    def _report(self, error: SessionError, wait: float) -> None:
        level = logging.ERROR if isinstance(error, _PERSONAL) else logging.WARNING
        log.log(level, "%s Next attempt in %.1f s.", error.sentence(), wait, extra={"reason": error.reason})
        self._set(Status(connected=False, since=self.status.since, reason=str(error), retry_in=wait))

    def _set(self, status: Status) -> None:
        self.status = status
        self._changed(status)
