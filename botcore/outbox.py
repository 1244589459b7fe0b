"""What the bot says: one queue under the server's flood limits, each message delivered at most once.

One message is on its way at a time, so that every answer of the server belongs to it: an echo, `cooldown` (the line
was lost: it goes again), or a refusal. Other orders wait for nothing but their like: a long look-up of a link holds up
neither talk nor playback. A message without an answer is never repeated; its echo may come late, and
counts as delivered then.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from botcore import limits, markup
from botcore.errors import NoAnswer, NotSent, SessionError
from botcore.room import Room
from botcore.session import Accept, Session

log = logging.getLogger(__name__)

CAPACITY = 500
MAX_AGE_SECONDS = 600.0
COOLDOWN_TRIES = 20
LATE_KEPT = 100
# What shares a floor. CyTube looks links up one after the other, and lets the list wait for that but not playback
# (`semaphore` in its playlist.js).
_FLOORS = {
    "pm": "chatMsg",
    "moveMedia": "delete",
    "jumpTo": "playNext",
    "voteskip": "playNext",
    "assignLeader": "playNext",
    "mediaUpdate": "playNext",
}


class Delivery(enum.Enum):
    """What became of a message."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    EXPIRED = "expired"
    OVERFLOW = "overflow"
    WITHDRAWN = "withdrawn"


@dataclass(slots=True, eq=False)
class Message:
    """A chat line, or a PM when `to` is a name. `detail` is the server's word on a refusal."""

    text: str
    to: str | None = None
    queued: float = field(default_factory=time.monotonic)
    number: int | None = None
    detail: str = ""
    result: asyncio.Future[Delivery] | None = None


@dataclass(frozen=True, slots=True)
class _Cooldown:
    """The server lost the line; so many seconds until it takes another."""

    seconds: float


class Journal(Protocol):
    """Who remembers what became of the messages."""

    def queued(self, message: Message) -> None: ...
    async def sending(self, message: Message) -> None: ...
    def kept(self, message: Message) -> None: ...
    def settled(self, message: Message, delivery: Delivery) -> None: ...


class Outbox:
    """The queue. `run` sends while `session()` answers with a session in the room."""

    def __init__(self, session: Callable[[], Session | None], *, journal: Journal) -> None:
        self._session = session
        self._journal = journal
        self._queue: deque[Message] = deque()
        self._late: deque[Message] = deque(maxlen=LATE_KEPT)
        self._brakes = {event: limits.Brake() for event in ("chatMsg", "queue")}
        self._wake = asyncio.Event()
        self._floors: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._busy: Message | None = None

    def __len__(self) -> int:
        return len(self._queue) + (self._busy is not None)

    def put(self, message: Message, *, first: bool = False) -> asyncio.Future[Delivery]:
        """Queue a message, before all others if it is to be first.

        The future says what became of it and never raises; cancelling it takes back what is not on its way yet.
        """
        message.result = asyncio.get_running_loop().create_future()
        if message.number is None:
            self._journal.queued(message)
        if len(self._queue) >= CAPACITY:
            self._settle(message, Delivery.OVERFLOW)
        else:
            self._queue.insert(0 if first else len(self._queue), message)
            self._wake.set()
            message.result.add_done_callback(lambda result: self._withdraw(message) if result.cancelled() else None)
        return message.result

    def wake(self) -> None:
        """The session changed."""
        self._wake.set()

    def heard(self, event: str, data: Any, *, own_name: str) -> None:
        """Look for late echoes of messages whose deadline has passed; history counts too."""
        if not self._late or event not in {"chatMsg", "pm"}:
            return
        for message in self._late:
            if _is_echo(message, event, data, own_name) and markup.same(message.text, str(data.get("msg"))):
                self._late.remove(message)
                log.info("a late echo: delivered after all")
                self._journal.settled(message, Delivery.DELIVERED)
                return

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            session = self._session()
            if session is None or session.ended.done() or not self._queue:
                await self._sleep(30.0 if self._queue else None)
                self._drop_expired()
                continue
            await self._next(session)

    async def _next(self, session: Session) -> None:
        """Send the first message; back to the front of the queue with it if the connection went before it did."""
        message = self._busy = self._queue.popleft()
        try:
            self._settle(message, await self._deliver(session, message))
        except NotSent:
            self._queue.appendleft(message)
            self._journal.kept(message)
        except asyncio.CancelledError:
            self._settle(message, Delivery.UNCONFIRMED)
            raise
        finally:
            self._busy = None

    async def perform(
        self, session: Session, event: str, data: object, accept: Accept, *, timeout: float | None = None
    ) -> Any:
        """Send an event under its flood limit, and answer what `accept` makes of a later one.

        Has the floor of its kind alone, so that a refusal cannot belong to anything else. What the server lost to its
        flood limit goes again. Raises SessionError as `Session.ask` does, and whatever `accept` raises.
        """

        floor = _FLOORS.get(event, event)

        def lost_or(event: str, data: Any, room: Room) -> Any:
            return _cooldown(floor, event, data) or accept(event, data, room)

        for _ in range(COOLDOWN_TRIES):
            async with self.turn(session, event):
                answer = await session.ask(event, data, lost_or, timeout=timeout)
                if not isinstance(answer, _Cooldown):
                    return answer
                # The line was lost. Nobody else may speak meanwhile: every attempt would start the wait again.
                await asyncio.sleep(answer.seconds)
        raise NoAnswer("CyTube's flood limit did not let the line through.")

    @contextlib.asynccontextmanager
    async def turn(self, session: Session, event: str) -> AsyncIterator[None]:
        """Wait for the floor and the flood limit of an event, and keep everything like it waiting."""
        async with self._floors[_FLOORS.get(event, event)]:
            await self._pace(session.room, event)
            yield

    async def _pace(self, room: Room, event: str) -> None:
        """Wait for the turn of an event that the server counts; PMs count as chat lines."""
        if event == "pm":
            event = "chatMsg"
        if event in self._brakes:
            limit = limits.QUEUE if event == "queue" else limits.chat_limit(room)
            await asyncio.sleep(self._brakes[event].wait(limit))
            self._brakes[event].take(limit)

    async def drain(self, timeout: float) -> bool:
        """Wait until everything is said, at most so many seconds; whether it was."""
        deadline = time.monotonic() + timeout
        while len(self) and self._session() is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not len(self)

    async def _deliver(self, session: Session, message: Message) -> Delivery:
        event, data = _frame(message)
        await self._journal.sending(message)
        try:
            refusal = await self.perform(session, event, data, self._accept(message, session.name))
        except NotSent:
            raise
        except SessionError as error:
            message.detail = str(error)
            self._late.append(message)
            return Delivery.UNCONFIRMED
        message.detail = refusal
        return Delivery.REFUSED if refusal else Delivery.DELIVERED

    def _accept(self, message: Message, own_name: str) -> Callable[[str, Any, Room], str | None]:
        """Answers "" for an echo and a text for a refusal."""

        def accept(event: str, data: Any, _room: Room) -> str | None:
            if event in {"errorMsg", "noflood"}:
                return markup.one_line(str(data.get("msg") or event))
            if event == "spamFiltered":
                return markup.one_line(f"the channel filters us: {data.get('reason')}")
            if not _is_echo(message, event, data, own_name):
                return None
            # A channel's filters may rewrite our line, so another text is still our echo, unless it is known as the
            # late echo of an earlier one.
            return None if self._late_echo(message, str(data.get("msg"))) else ""

        return accept

    def _late_echo(self, message: Message, echoed: str) -> bool:
        if markup.same(message.text, echoed):
            return False
        return any(late.to == message.to and markup.same(late.text, echoed) for late in self._late)

    def _withdraw(self, message: Message) -> None:
        if message in self._queue:
            self._queue.remove(message)
            self._settle(message, Delivery.WITHDRAWN)

    def _drop_expired(self) -> None:
        oldest = time.monotonic() - MAX_AGE_SECONDS
        while self._queue and self._queue[0].queued < oldest:
            self._settle(self._queue.popleft(), Delivery.EXPIRED)

    def _settle(self, message: Message, delivery: Delivery) -> None:
        if delivery not in {Delivery.DELIVERED, Delivery.WITHDRAWN}:
            log.warning(
                "a message to %s was not delivered: %s %s", message.to or "the room", delivery.value, message.detail
            )
        if message.result is not None and not message.result.done():
            message.result.set_result(delivery)
        self._journal.settled(message, delivery)

    async def _sleep(self, timeout: float | None) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()


def _frame(message: Message) -> tuple[str, dict[str, object]]:
    if message.to is None:
        return "chatMsg", {"msg": message.text, "meta": {}}
    return "pm", {"to": message.to, "msg": message.text, "meta": {}}


def _cooldown(floor: str, event: str, data: Any) -> _Cooldown | None:
    """`cooldown` gives milliseconds: 100 or 1000 (recording, scenarios 17 and 18); queueing says it in words."""
    if floor == "queue" and event == "queueFail" and data.get("msg") == "You are adding videos too quickly":
        return _Cooldown(1.0)
    if floor != "chatMsg" or event != "cooldown":
        return None
    known = isinstance(data, int | float) and not isinstance(data, bool) and 0 <= data <= 60_000
    return _Cooldown((data if known else 1000) / 1000 + 0.05)


def _is_echo(message: Message, event: str, data: Any, own_name: str) -> bool:
    if event != ("chatMsg" if message.to is None else "pm") or data.get("username") != own_name:
        return False
    return message.to is None or str(data.get("to")).lower() == message.to.lower()
