"""One stay in the room: connect, join, log in, until the connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr

from botcore.cytube.refusals import from_kick, from_login
from botcore.errors import BotError, ChannelRefused, NoAnswer, NotSent, SessionError, Unreachable
from botcore.room import Room, reduce

# A name-banned account gets the whole join and a successful login, and the kick up to 10 ms later
# (recording, scenario 21).
SETTLE_SECONDS = 0.1

# What the socket library says, in words.
_BROKEN = {"transport error": "the link broke", "server disconnect": "the server closed it"}

Accept = Callable[[str, Any, Room], Any]


class Socket(Protocol):
    """What a session needs of a connection; `botcore.cytube.wire.Wire` is one."""

    async def connect(self, url: str, *, timeout: float) -> None:
        """Open it, within `timeout` seconds. Raises SessionError."""

    async def emit(self, event: str, data: object = None) -> None:
        """Send an event; nobody says whether it arrived."""

    async def close(self) -> None:
        """End it; what had not gone out is lost."""


class Listener(Protocol):
    """Who hears about a session."""

    def heard(self, session: Session, event: str, data: Any, before: Room) -> None:
        """An event was applied; `session.room` is the state after it. Must not raise or block."""

    def rejected(self, event: str, error: BotError) -> None:
        """An event could not be applied; the state is unchanged."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who enters which room, and how."""

    channel: str
    channel_password: SecretStr | None
    name: str
    password: SecretStr | None


class Session:
    """One connection. `room` follows every event; `in_room` is true from the settled login to the end.

    `name` is our name as CyTube writes it, once it has told us. `anonymous` is how many people without a name were
    there when the session before ended; it serves until CyTube counts again, up to ten seconds later.
    """

    def __init__(self, identity: Identity, listener: Listener, *, timeout: float, anonymous: int = 0) -> None:
        self.identity = identity
        self.name = identity.name
        self.room = Room(anonymous=anonymous)
        self.in_room = False
        #: Uid of the item that we have voted to skip; CyTube takes one vote, and is silent about a second.
        self.voted: int | None = None
        self.ended: asyncio.Future[SessionError] = asyncio.get_running_loop().create_future()
        self.timeout = timeout
        self._listener = listener
        self._waiting: list[tuple[Accept, asyncio.Future[Any]]] = []
        self._socket: Socket | None = None
        self._placed = 0.0

    def position(self) -> float:
        """Where what plays is now, in seconds; 0 when nothing does. CyTube tells it every five seconds only."""
        playing = self.room.playback
        if playing is None:
            return 0.0
        # Before the start CyTube counts up from -3 and calls that paused.
        stands = playing.paused and playing.position >= 0
        position = playing.position if stands else playing.position + time.monotonic() - self._placed
        return max(0.0, min(position, playing.media.seconds or position))

    async def enter(self, socket: Socket, url: str, *, connect_timeout: float) -> None:
        """Connect, join, log in and settle. Raises SessionError; the caller closes the socket in any case."""
        refusal = await self.join_only(socket, url, connect_timeout=connect_timeout)
        await self.sign_in(refusal)
        self.in_room = True

    async def join_only(self, socket: Socket, url: str, *, connect_timeout: float) -> ChannelRefused | None:
        """Connect and join without a name. Answers the refusal that a login may still lift; raises SessionError."""
        self._socket = socket
        await socket.connect(url, timeout=connect_timeout)
        return await self._join()

    async def sign_in(self, refusal: ChannelRefused | None) -> None:
        """Log in after `join_only`. Raises SessionError, and the refusal when the login did not lift it."""
        await self._login()
        await self._settle(refusal)

    async def emit(self, event: str, data: object = None) -> None:
        """Send one event. Raises NotSent."""
        if self._socket is None or self.ended.done():
            raise NotSent(f"{event} could not be sent: there is no connection.")
        await self._socket.emit(event, data)

    async def ask(self, event: str, data: object, accept: Accept, *, timeout: float | None = None) -> Any:
        """Send one event and wait for what `accept(event, data, room)` makes of a later one (anything but None).

        Raises NoAnswer after `timeout` seconds (default: the response timeout), the error that `accept` raises, or
        the reason for which the session ends first.
        """
        limit = self.timeout if timeout is None else timeout
        with self.expecting(accept) as answer:
            await self.emit(event, data)
            try:
                async with asyncio.timeout(limit):
                    return await answer
            except TimeoutError as error:
                raise NoAnswer(f"CyTube did not answer {event} within {limit:g} s.") from error

    @contextlib.contextmanager
    def expecting(self, accept: Accept) -> Iterator[asyncio.Future[Any]]:
        """A future for the first event that `accept` takes."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        entry = (accept, answer)
        self._waiting.append(entry)
        if self.ended.done():
            answer.set_exception(self.ended.result())
        try:
            yield answer
        finally:
            self._waiting.remove(entry)
            if answer.done() and not answer.cancelled():
                answer.exception()  # taken note of, so that asyncio does not report it as lost
            answer.cancel()

    def received(self, event: str, data: Any) -> None:
        """Take one event from the wire: state first, then whoever waits for it, then the listener."""
        if self.ended.done():
            return
        before = self.room
        try:
            self.room = reduce(before, event, data)
        except BotError as error:
            self._listener.rejected(event, error)
            return
        if self.room.playback is not before.playback:
            self._placed = time.monotonic()
        if event == "clearVoteskipVote":
            self.voted = None
        self._offer(event, data)
        self._listener.heard(self, event, data, before)
        if event == "kick":
            reason = data.get("reason")
            self.end(from_kick(reason if isinstance(reason, str) else ""))

    def disconnected(self, reason: str = "") -> None:
        """The connection is gone."""
        self.end(Unreachable(f"The connection to CyTube ended: {_BROKEN.get(reason, reason) or 'no reason given'}."))

    def end(self, reason: SessionError) -> None:
        """The stay is over; the first reason counts."""
        if self.ended.done():
            return
        self.in_room = False
        self.ended.set_result(reason)
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_exception(reason)

    def _offer(self, event: str, data: Any) -> None:
        for accept, answer in self._waiting:
            if answer.done():
                continue
            try:
                result = accept(event, data, self.room)
            except Exception as error:  # noqa: BLE001  whoever waits gets it; the next event is not held up
                answer.set_exception(error)
            else:
                if result is not None:
                    answer.set_result(result)

    async def _join(self) -> ChannelRefused | None:
        """Join the channel; returns the refusal that a moderator's login may still lift."""
        identity = self.identity
        request: dict[str, str] = {"name": identity.channel}
        if identity.channel_password is not None:
            request["pw"] = identity.channel_password.get_secret_value()

        def accept(event: str, data: Any, _room: Room) -> Any:
            if event == "userlist":
                return True
            if event == "needPassword":
                return _password_refused(wrong=data is True)
            if event == "errorMsg" and "blocked anonymous users" in str(data.get("msg")):
                return ChannelRefused("The channel lets nobody in without a name.")
            return None

        answer = await self.ask("joinChannel", request, accept)
        return answer if isinstance(answer, ChannelRefused) else None

    async def _login(self) -> None:
        identity = self.identity
        request = {"name": identity.name}
        if identity.password is not None:
            request["pw"] = identity.password.get_secret_value()

        def accept(event: str, data: Any, _room: Room) -> Any:
            if event != "login":
                return None
            if data.get("success") is True:
                name = data.get("name")
                return name if isinstance(name, str) and name else identity.name
            error = data.get("error")
            raise from_login(error if isinstance(error, str) else "no reason given")

        self.name = await self.ask("login", request, accept)

    async def _settle(self, refusal: ChannelRefused | None) -> None:
        """Wait until the server lists us, and a moment more for the kick that a ban brings."""

        def accept(_event: str, _data: Any, room: Room) -> Any:
            return self._listed(room) or None

        with self.expecting(accept) as answer:
            try:
                if not self._listed(self.room):
                    async with asyncio.timeout(self.timeout):
                        await answer
            except TimeoutError as error:
                raise refusal or NoAnswer(
                    f"CyTube accepted the login, but did not list us within {self.timeout:g} s."
                ) from error
        done, _ = await asyncio.wait([self.ended], timeout=SETTLE_SECONDS)
        if done:
            raise self.ended.result()

    def _listed(self, room: Room) -> bool:
        return room.listed and room.user(self.name) is not None


def _password_refused(*, wrong: bool) -> ChannelRefused:
    if wrong:
        return ChannelRefused("The channel password is wrong.", hint="Correct `channel.password`.")
    return ChannelRefused("The channel wants a password.", hint="Set `channel.password`, or make the bot a moderator.")


def live_chat(event: str, before: Room) -> bool:
    """Whether a chatMsg is live: history comes in the join burst, before the `userlist`."""
    return event == "chatMsg" and before.listed
