"""The socket: python-socketio's AsyncClient behind five methods.

One Wire is one connection. There is no automatic reconnection here, because after one CyTube forgets the channel and
the login (recording, scenario 28): `botcore.cytube.connection` opens a new Wire instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aiohttp
import socketio
from socketio.exceptions import SocketIOError

from botcore.cytube.refusals import from_connect
from botcore.errors import NotSent, Unreachable

# The server pings every 25 s and gives up after 120 (recorded handshake). Our own ping notices a dead link, in
# either direction, within PING_EVERY * 1.5 seconds.
PING_EVERY = 20.0
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
CLOSE_SECONDS = 1.0

EventHandler = Callable[[str, Any], None]
CloseHandler = Callable[[str], None]


class Wire:
    """One socket.io connection. Events are handed over in order, on the event loop, without awaiting."""

    def __init__(self, http: aiohttp.ClientSession, *, on_event: EventHandler, on_close: CloseHandler) -> None:
        self._on_event = on_event
        self._on_close = on_close
        self._refusal = ""
        self._client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            http_session=http,
            websocket_extra_options={"heartbeat": PING_EVERY, "max_msg_size": MAX_MESSAGE_BYTES},
        )
        self._client.on("*", self._event)
        self._client.on("connect_error", self._refused)
        self._client.on("disconnect", on_close)

    async def connect(self, url: str, *, timeout: float) -> None:
        """Open the connection within `timeout` seconds. Raises Unreachable or RateLimited."""
        try:
            async with asyncio.timeout(timeout):
                await self._client.connect(url, transports=["websocket"], wait_timeout=timeout)
        except TimeoutError as error:
            raise Unreachable(f"{url} did not accept a connection within {timeout:g} s.") from error
        except (SocketIOError, aiohttp.ClientError, OSError, ValueError) as error:
            raise from_connect(self._refusal or str(error)) from error

    async def emit(self, event: str, data: object = None) -> None:
        """Send one event. Raises NotSent when the connection is gone."""
        try:
            await self._client.emit(event, data)
        except SocketIOError as error:
            self._on_close(f"{event} could not be sent")
            raise NotSent(f"{event} could not be sent: the connection is gone.") from error

    async def close(self) -> None:
        """Leave and free everything, within twice CLOSE_SECONDS even if the link is dead."""
        with contextlib.suppress(TimeoutError, SocketIOError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.disconnect()
        tasks = [task for task in (self._client.eio.read_loop_task, self._client.eio.write_loop_task) if task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        # Whoever listens refers to us: without this a whole room would wait for the garbage collector.
        self._client.handlers.clear()
        self._on_event, self._on_close = _nobody_listens, _nobody_listens

    def _event(self, event: str, *args: Any) -> None:
        self._on_event(event, args[0] if args else None)

    def _refused(self, data: object = None) -> None:
        message = data.get("message") if isinstance(data, dict) else data
        self._refusal = str(message or "connection refused")
        # In the middle of a session, too, this ends it, and no `disconnect` follows.
        self._on_close(self._refusal)


def _nobody_listens(*_heard: object) -> None:
    """The connection is closed."""
