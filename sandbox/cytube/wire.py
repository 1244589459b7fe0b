"""Carries messages to the sockets: in order, whoever they are for, and late when asked to."""

import asyncio
from collections import deque
from dataclasses import dataclass

import socketio
from engineio import packet as engineio_packet
from engineio.exceptions import EngineIOError
from socketio import packet as socketio_packet

from sandbox.cytube.session import Message


def _encode(message: Message) -> object:
    """The packet for ``message``. Made when it is posted: its data may change before it is sent."""
    if message.encoded is None:
        data = [message.event] if message.data is None else [message.event, message.data]
        text = socketio_packet.Packet(socketio_packet.EVENT, data=data, namespace="/").encode()
        message.encoded = engineio_packet.Packet(engineio_packet.MESSAGE, text)
    return message.encoded


@dataclass(frozen=True, slots=True)
class _Parcel:
    due: float
    socket: "Socket"
    packet: object | None


class Wire:
    """One queue for all sockets, emptied by one task. ``delay`` in seconds holds every answer back."""

    def __init__(self, sio: socketio.AsyncServer) -> None:
        self.delay = 0.0
        self.sent = 0
        self._sio = sio
        self._queue: deque[_Parcel] = deque()
        self._filled = asyncio.Event()

    def post(self, socket: "Socket", message: Message | None) -> None:
        """Send ``message`` to ``socket``; None hangs up."""
        due = asyncio.get_running_loop().time() + self.delay if self.delay else 0.0
        self._queue.append(_Parcel(due, socket, None if message is None else _encode(message)))
        self._filled.set()

    @property
    def backlog(self) -> int:
        """Messages that no socket has taken yet, including those in the sockets' own queues."""
        # engine.io has no public way to ask how much a client has yet to read
        waiting = max((each.queue.qsize() for each in self._sio.eio.sockets.values()), default=0)
        return len(self._queue) + int(waiting)

    async def run(self) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            while self._queue:
                parcel = self._queue.popleft()
                late = parcel.due - loop.time() if parcel.due else 0.0
                if late > 0:
                    await asyncio.sleep(late)
                await self._deliver(parcel)
            self._filled.clear()

    async def _deliver(self, parcel: _Parcel) -> None:
        if parcel.packet is None:
            await self._sio.disconnect(parcel.socket.sid)
            return
        self.sent += 1
        try:
            await self._sio.eio.send_packet(parcel.socket.engine_sid, parcel.packet)
        except EngineIOError:
            return  # the client went away between two messages, as clients do


class Socket:
    """One client's end of the wire."""

    __slots__ = ("engine_sid", "sid", "wire")

    def __init__(self, wire: Wire, *, sid: str, engine_sid: str) -> None:
        self.wire = wire
        self.sid = sid
        self.engine_sid = engine_sid

    def post(self, message: Message) -> None:
        """Send ``message`` after everything posted before."""
        self.wire.post(self, message)

    def hang_up(self) -> None:
        """Disconnect after everything posted before."""
        self.wire.post(self, None)
