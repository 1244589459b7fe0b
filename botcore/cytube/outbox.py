"""What the bot says: one queue under the server's flood limits, each message delivered at most once.

One message is on its way at a time, so that every answer of the server belongs to it: an echo, `cooldown` (the line
was lost: it goes again), or a refusal. Other orders wait for nothing but their like: a long look-up of a link holds up
neither talk nor playback. A message without an answer is never repeated; its echo may come late, and
counts as delivered then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Protocol

from botcore import markup
from botcore.cytube import limits, lines
from botcore.cytube.message import (
    MAX_AGE_SECONDS,
    Cooldown,
    Delivery,
    Message,
    Piece,
    Refusal,
    cooldown,
    pieces,
    refusal,
)
from botcore.cytube.session import Accept, Session
from botcore.errors import ActionRefused, NotSent, SessionError, Withdrawn
from botcore.room import Room

log = logging.getLogger(__name__)

CAPACITY = 500
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


class Journal(Protocol):
    """Who remembers what became of the messages."""

    def queued(self, message: Message) -> None:
        """It waits for its turn."""

    async def sending(self, message: Message) -> None:
        """It goes out now; once this has returned, it is remembered that it may have been said."""

    def kept(self, message: Message) -> None:
        """It was not sent, and waits for the next connection."""

    def settled(self, message: Message, delivery: Delivery) -> None:
        """What became of it in the end."""


class Outbox:
    """The queue. `run` sends while `session()` answers with a session in the room."""

    def __init__(self, session: Callable[[], Session | None], *, journal: Journal) -> None:
        self._session = session
        self._journal = journal
        self._queue: deque[Message] = deque()
        self._late: deque[tuple[Message, Piece]] = deque(maxlen=LATE_KEPT)
        self._brakes = {event: limits.Brake() for event in ("chatMsg", "queue")}
        self._wake = asyncio.Event()
        self._floors: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._busy: Message | None = None
        #: Longest line in UTF-16 units, as far as the server's echoes have shown.
        self.line_length = lines.LINE_LENGTH

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
        """The session changed. What its echoes show of the server's limit is learnt anew."""
        self.line_length = lines.LINE_LENGTH
        self._wake.set()

    def heard(self, event: str, data: Any, *, own_name: str) -> None:
        """Look for late echoes of messages whose deadline has passed; history counts too."""
        if not self._late or event not in {"chatMsg", "pm"}:
            return
        for late in self._late:
            message, piece = late
            if piece.echoed(event, data, own_name) and piece.shows(str(data.get("msg"))):
                self._late.remove(late)
                if piece.last:
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
        self,
        session: Session,
        event: str,
        data: object,
        accept: Accept,
        *,
        timeout: float | None = None,
        cost: int = 1,
        check: Callable[[], None] = lambda: None,
    ) -> Any:
        """Send an event under its flood limit, and answer what `accept` makes of a later one.

        Has the floor of its kind alone, so that a refusal cannot belong to anything else. `check` raises if at the last
        moment it must not be sent. What the server lost to its flood limit, which counts it `cost` times, goes again.
        Raises SessionError as `Session.ask` does, ActionRefused, and whatever `accept` raises.
        """
        floor = _FLOORS.get(event, event)

        def lost_or(event: str, data: Any, room: Room) -> Any:
            return cooldown(floor, event, data) or accept(event, data, room)

        for _ in range(COOLDOWN_TRIES):
            async with self.turn(session, event, cost):
                check()
                answer = await session.ask(event, data, lost_or, timeout=timeout)
                if not isinstance(answer, Cooldown):
                    return answer
                # The line was lost. Nobody else may speak meanwhile: every attempt would start the wait again.
                self._brakes[floor].spend()
                await asyncio.sleep(answer.seconds)
        raise ActionRefused("CyTube's flood limit let it through not once: it has not happened.")

    @contextlib.asynccontextmanager
    async def turn(self, session: Session, event: str, cost: int = 1) -> AsyncIterator[None]:
        """Wait for the floor and the flood limit of an event, and keep everything like it waiting."""
        floor = _FLOORS.get(event, event)
        async with self._floors[floor]:
            await self._pace(session.room, floor, cost)
            yield

    async def _pace(self, room: Room, floor: str, cost: int) -> None:
        """Wait for the turn of an event that the server counts; PMs count as chat lines."""
        if floor in self._brakes:
            limit = limits.QUEUE if floor == "queue" else limits.chat_limit(room)
            await asyncio.sleep(self._brakes[floor].wait(limit, cost))
            self._brakes[floor].take(limit, cost)

    async def drain(self, timeout: float) -> bool:
        """Wait until everything is said, at most so many seconds; whether it was."""
        deadline = time.monotonic() + timeout
        while len(self) and self._session() is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        return not len(self)

    async def _deliver(self, session: Session, message: Message) -> Delivery:
        """Say it in as many lines as the server's limit takes, and learn that limit from the echoes."""
        line = message.line()
        shown: list[tuple[str, str]] = []
        while line.text:
            piece, rest = pieces(line, message.to, self.line_length)
            await self._journal.sending(message)
            echo, outcome = await self._say(session, message, piece, begun=bool(shown))
            if outcome is not Delivery.DELIVERED:
                return outcome
            kept = piece.kept(echo)
            if kept < len(piece.line.text):
                rest = f"{piece.line.text[kept:].lstrip()} {rest}".strip()
                self.line_length = lines.length(piece.line.sent()) - lines.length(piece.line.text[kept:])
                log.info("the server shows %d units of a line", self.line_length)
            shown.append((piece.line.text[:kept], echo))
            line = replace(line, text=rest)
        if not all(markup.same(text, echo) for text, echo in shown):
            message.detail = " ".join(markup.one_line(markup.plain(echo)) for _, echo in shown)
        return Delivery.DELIVERED

    async def _say(self, session: Session, message: Message, piece: Piece, *, begun: bool) -> tuple[str, Delivery]:
        """One line: its echo, and what became of it."""
        event, data = piece.frame()
        accept = self._accept(piece, session.name)

        def check() -> None:
            if message.result is not None and message.result.cancelled():
                raise Withdrawn("It was taken back.")

        try:
            answer = await self.perform(session, event, data, accept, cost=piece.line.cost, check=check)
        except Withdrawn:
            return "", Delivery.WITHDRAWN
        except ActionRefused as error:
            message.detail = str(error)
            return "", Delivery.REFUSED
        except SessionError as error:
            if isinstance(error, NotSent) and not begun:
                raise
            message.detail = str(error)
            self._late.append((message, piece))
            return "", Delivery.UNCONFIRMED
        if isinstance(answer, Refusal):
            message.detail = answer.reason
            return "", Delivery.REFUSED
        return answer, Delivery.DELIVERED

    def _accept(self, piece: Piece, own_name: str) -> Callable[[str, Any, Room], str | Refusal | None]:
        """Answers the echo, or the refusal."""

        def accept(event: str, data: Any, _room: Room) -> str | Refusal | None:
            if wrong := refusal(event, data, piece.to):
                return wrong
            if not piece.echoed(event, data, own_name):
                return None
            # A channel's filters may rewrite our line, so another text is still our echo, unless it is known as the
            # late echo of an earlier one.
            echo = str(data.get("msg"))
            return None if self._late_echo(piece, echo) else echo

        return accept

    def _late_echo(self, piece: Piece, echo: str) -> bool:
        if piece.shows(echo):
            return False
        return any(late.to == piece.to and late.shows(echo) for _, late in self._late)

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
