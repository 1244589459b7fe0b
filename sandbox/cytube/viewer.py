"""Somebody in front of a screen: a client for tests and for the demo."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import socketio

from sandbox.cytube.errors import JoinRefused, LoginRefused, NoAnswer, ViewerError

#: Seconds that a wait lasts when nobody says otherwise.
TIMEOUT = 5.0

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Heard:
    """An event that arrived."""

    event: str
    data: Any


class Viewer:
    """A client that keeps everything it hears until somebody asks for it.

    :meth:`wait_for` hands every event out once, so that two waits for the same thing need it to happen twice.
    ``disconnected`` is the reason once the connection is gone, else None.
    """

    def __init__(self, *, ip: str | None = None) -> None:
        self.name = ""
        self.heard: list[Heard] = []
        self.disconnected: str | None = None
        self._refusal = ""
        self._kept: list[Heard] = []
        self._arrived = asyncio.Event()
        self._headers = {"X-Forwarded-For": ip} if ip else {}
        self._client: Any = socketio.AsyncClient(reconnection=False)
        self._client.on("*", self._on_event)
        self._client.on("connect_error", self._on_refused)
        self._client.on("disconnect", self._on_disconnect)

    @property
    def ping(self) -> tuple[float, float]:
        """Ping interval and timeout in seconds, as the server named them in the handshake."""
        return self._client.eio.ping_interval, self._client.eio.ping_timeout

    @property
    def unread(self) -> list[Heard]:
        """What arrived and was not handed out, oldest first."""
        return list(self._kept)

    @classmethod
    async def join(
        cls,
        url: str,
        channel: str,
        name: str = "",
        password: str | None = None,
        *,
        channel_password: str | None = None,
        ip: str | None = None,
    ) -> "Viewer":
        """Connect, join and log in; without a name stay anonymous, without a password be a guest.

        Raises JoinRefused, LoginRefused or NoAnswer, the connection being closed then.
        """
        viewer = cls(ip=ip)
        try:
            await viewer.connect(url, channel)
            await viewer.enter(channel, channel_password)
            if name:
                await viewer.login(name, password)
        except BaseException:
            await viewer.leave()
            raise
        return viewer

    async def connect(self, url: str, channel: str, *, transports: tuple[str, ...] = ("websocket",)) -> None:
        """Find the socket server of the channel and connect to it. Raises ViewerError."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url}/socketconfig/{channel}.json") as response,
        ):
            body = await response.json()
        if "servers" not in body:
            raise ViewerError(f"No socket server: {body.get('error')}")
        try:
            await self._client.connect(body["servers"][0]["url"], headers=self._headers, transports=list(transports))
        except socketio.exceptions.ConnectionError as refused:
            raise ViewerError(self._refusal or str(refused)) from refused

    async def enter(self, channel: str, password: str | None = None) -> list[dict[str, Any]]:
        """Join the channel and return its userlist. Raises JoinRefused or NoAnswer."""
        await self.emit("joinChannel", {"name": channel} | ({} if password is None else {"pw": password}))
        answer = await self.wait_for_any("userlist", "needPassword", "errorMsg", "kick")
        if answer.event != "userlist":
            raise JoinRefused(f"{channel} answered {answer.event}: {answer.data}")
        users: list[dict[str, Any]] = answer.data
        return users

    async def login(self, name: str, password: str | None = None) -> None:
        """Take a name. Raises LoginRefused or NoAnswer."""
        await self.emit("login", {"name": name, "pw": password or ""})
        answer = await self.wait_for("login")
        if not answer["success"]:
            raise LoginRefused(answer["error"])
        self.name = answer["name"]

    async def leave(self) -> None:
        """Disconnect."""
        await self._client.disconnect()

    async def emit(self, event: str, data: object = None) -> None:
        """Send an event."""
        await self._client.emit(event, data)

    async def call(self, event: str, data: object = None, *, deadline: float = TIMEOUT) -> Any:
        """Send an event and return its acknowledgement. Raises NoAnswer."""
        try:
            return await self._client.call(event, data, timeout=deadline)
        except socketio.exceptions.TimeoutError as silence:
            raise NoAnswer(f"{event} was not acknowledged within {deadline:g} s.") from silence

    async def chat(self, text: str) -> None:
        """Say something in public."""
        await self.emit("chatMsg", {"msg": text, "meta": {}})

    async def pm(self, to: str, text: str) -> None:
        """Say something to one person."""
        await self.emit("pm", {"to": to, "msg": text, "meta": {}})

    async def wait_for(self, event: str, predicate: Predicate | None = None, deadline: float = TIMEOUT) -> Any:
        """Data of the first event of that name that satisfies ``predicate`` and was not handed out before.

        ``deadline`` in seconds. Raises NoAnswer, naming what did arrive.
        """
        heard = await self._next(
            lambda each: each.event == event and (predicate is None or predicate(each.data)), deadline, event
        )
        return heard.data

    async def wait_for_any(self, *events: str, deadline: float = TIMEOUT) -> Heard:
        """The first of several events. Raises NoAnswer."""
        return await self._next(lambda each: each.event in events, deadline, " or ".join(events))

    async def wait_disconnected(self, deadline: float = TIMEOUT) -> str:
        """The reason for which the connection ended. Raises NoAnswer."""
        heard = await self._next(lambda each: each.event == "<disconnect>", deadline, "the disconnect")
        return str(heard.data)

    async def has_heard(self, count: int, deadline: float = TIMEOUT) -> None:
        """Wait until at least ``count`` events have arrived in all, handed out or not. Raises NoAnswer."""
        try:
            async with asyncio.timeout(deadline):
                while len(self.heard) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            last = self.heard[-1].event if self.heard else "nothing"
            raise NoAnswer(
                f"Heard {len(self.heard)} of {count} events within {deadline:g} s.", hint=f"Last: {last}."
            ) from None

    def forget(self) -> None:
        """Drop everything that was heard and not handed out."""
        self._kept.clear()

    async def _next(self, wanted: Callable[[Heard], bool], deadline: float, what: str) -> Heard:
        try:
            async with asyncio.timeout(deadline):
                while True:
                    for each in self._kept:
                        if wanted(each):
                            self._kept.remove(each)
                            return each
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            arrived = ", ".join(each.event for each in self._kept[-20:]) or "nothing"
            raise NoAnswer(f"No {what} within {deadline:g} s.", hint=f"Arrived: {arrived}.") from None

    def _keep(self, event: str, data: object) -> None:
        heard = Heard(event, data)
        self.heard.append(heard)
        self._kept.append(heard)
        self._arrived.set()

    async def _on_event(self, event: str, *args: object) -> None:
        self._keep(event, args[0] if args else None)

    async def _on_refused(self, data: object) -> None:
        self._refusal = str(data.get("message", data)) if isinstance(data, dict) else str(data)

    async def _on_disconnect(self, reason: str) -> None:
        self.disconnected = reason
        self._keep("<disconnect>", reason)
