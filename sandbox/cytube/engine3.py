"""Engine.IO 3 over a WebSocket, which CyTube still allows (``allowEIO3``) and old bots speak.

The client pings and the server answers; the connection to the default namespace needs no asking. python-engineio speaks
version 4 alone, so that this little is done here. Source: the protocol pages of engine.io 3 and socket.io 2.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from sandbox.cytube.session import Message

#: Engine.IO packets are one digit, Socket.IO's another one behind it.
OPEN, CLOSE, PING, PONG = "0", "1", "2", "3"
CONNECT, DISCONNECT, EVENT, ACK, ERROR = "40", "41", "42", "43", "44"


def is_spoken(request: web.Request) -> bool:
    """Whether the request opens such a connection. Polling is not spoken."""
    query = request.query
    return request.path == "/socket.io/" and query.get("EIO") == "3" and query.get("transport") == "websocket"


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the server does with a connection. ``opened`` returns what it refuses it with, or "".

    ``received`` takes an event, the connection's sid and data, and returns the acknowledgement, None for none;
    ``closed`` takes the sid and a reason.
    """

    opened: Callable[["Line"], str]
    received: Callable[[str, str, object], object]
    closed: Callable[[str, str], Awaitable[None]]


class Line:
    """One client. Messages go out in the order in which they were posted."""

    def __init__(self, socket: web.WebSocketResponse, address: str) -> None:
        self.sid = secrets.token_urlsafe(12)
        self.address = address
        self._socket = socket
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def post(self, message: Message) -> None:
        """Send ``message`` after everything posted before."""
        data = [message.event] if message.data is None else [message.event, message.data]
        self.put(EVENT + json.dumps(data))

    def hang_up(self) -> None:
        """Disconnect after everything posted before."""
        self._queue.put_nowait(None)

    def put(self, packet: str) -> None:
        """Send a packet after everything posted before."""
        self._queue.put_nowait(packet)

    async def send(self) -> None:
        """Deliver until hung up, or cancelled."""
        while (packet := await self._queue.get()) is not None:
            await self._socket.send_str(packet)
        await self._socket.send_str(DISCONNECT)
        await self._socket.close(code=WSCloseCode.OK)


async def serve(
    request: web.Request, handlers: Handlers, *, address: str, ping: tuple[float, float]
) -> web.WebSocketResponse:
    """Speak with one client until it goes. ``ping`` are interval and timeout in seconds, for the client to keep."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    line = Line(socket, address)
    interval, timeout = (round(seconds * 1000) for seconds in ping)
    hello = {"sid": line.sid, "upgrades": [], "pingInterval": interval, "pingTimeout": timeout}
    line.put(OPEN + json.dumps(hello))
    sending = asyncio.create_task(line.send())
    try:
        refusal = handlers.opened(line)
        line.put(ERROR + json.dumps(refusal) if refusal else CONNECT)
        if refusal:
            line.hang_up()
        async with asyncio.timeout(None) as idle:
            await _listen(socket, line, handlers, idle, seconds=sum(ping))
    except TimeoutError:
        await socket.close()
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await sending
        await handlers.closed(line.sid, "transport close")
    return socket


async def _listen(
    socket: web.WebSocketResponse, line: Line, handlers: Handlers, idle: asyncio.Timeout, *, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    idle.reschedule(loop.time() + seconds)
    async for frame in socket:
        idle.reschedule(loop.time() + seconds)
        if frame.type is not WSMsgType.TEXT:
            continue
        packet: str = frame.data
        if packet.startswith(PING):
            line.put(PONG + packet[1:])
        elif packet.startswith((CLOSE, DISCONNECT)):
            return
        elif packet.startswith(EVENT):
            _take(packet[len(EVENT) :], line, handlers)


def _take(packet: str, line: Line, handlers: Handlers) -> None:
    number = packet[: packet.find("[")]
    try:
        event, *arguments = _decoded(packet[len(number) :])
    except ValueError:
        return
    answer = handlers.received(event, line.sid, arguments[0] if arguments else None)
    if number and answer is not None:
        line.put(f"{ACK}{number}{json.dumps([answer])}")


def _decoded(text: str) -> list[Any]:
    data = json.loads(text)
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise ValueError("not an event")
    return data
