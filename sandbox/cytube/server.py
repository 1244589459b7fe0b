"""A server that speaks CyTube's protocol, in this process."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import socketio
from aiohttp import web
from engineio.exceptions import EngineIOError
from engineio.packet import NOOP, Packet

from sandbox.cytube import engine3
from sandbox.cytube.accounts import Accounts
from sandbox.cytube.config import ServerConfig
from sandbox.cytube.control import Control
from sandbox.cytube.crowd import Crowd
from sandbox.cytube.errors import NotRunning, UnknownName
from sandbox.cytube.hub import Hub
from sandbox.cytube.names import is_channel_name
from sandbox.cytube.record import Line, Record
from sandbox.cytube.room import Room
from sandbox.cytube.session import Session
from sandbox.cytube.wire import Socket, Wire

#: Seconds between two looks at how much the clients have yet to read.
DRAIN_LOOK = 0.001
#: Only a proxy on this machine is believed when it names the client's address.
_PROXIES = ("127.0.0.1", "::1")


class CytubeServer:
    """The server. Rooms, bans and what was said outlive :meth:`stop`; connections do not.

    ``async with CytubeServer(ServerConfig()) as server: ... server.url``
    """

    def __init__(self, config: ServerConfig | None = None) -> None:
        self.config = config or ServerConfig()
        self.record = Record()
        self._accounts = Accounts(self.config.accounts, cost=self.config.login_cost)
        self.hub = Hub(self.config, self._accounts, self.record)
        self._port = self.config.port
        self._runner: web.AppRunner | None = None
        self._sio: Any = None
        self._wire: Wire | None = None
        self._pump: asyncio.Task[None] | None = None
        self._sessions: dict[str, Session] = {}
        self._transports: set[asyncio.WriteTransport] = set()
        self._delay = 0.0
        self._control = Control(self)
        self._crowds: dict[str, Crowd] = {}
        #: Events that clients have sent since the server was made.
        self.received = 0

    async def __aenter__(self) -> "CytubeServer":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    # running

    @property
    def url(self) -> str:
        """Address of the server as seen from this machine, without a slash at its end. Raises NotRunning."""
        if self._runner is None:
            raise NotRunning("The sandbox server is not listening.", hint="Call start() first.")
        host = "127.0.0.1" if self.config.host in ("", "0.0.0.0") else self.config.host
        return f"{'https' if self.config.tls else 'http'}://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. After a stop it is the same port again. Raises OSError when the port is taken."""
        if self._runner is not None:
            return
        await asyncio.to_thread(self._accounts.prepare)
        self._sio = self._make_socketio()
        self._wire = Wire(self._sio)
        self._wire.delay = self._delay
        self._pump = asyncio.create_task(self._wire.run())
        app = web.Application(middlewares=[self._remember_transport])
        app.router.add_get("/socketconfig/{name}.json", self._socketconfig)
        self._control.attach(app)
        self._sio.attach(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self._port, ssl_context=self.config.tls)
        try:
            await site.start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop as a killed server does: clients see their transport break, nobody gets a word."""
        if self._runner is None or self._pump is None:
            return
        runner, self._runner = self._runner, None
        for site in list(runner.sites):
            await site.stop()
        await self.hub.stop()
        self._sessions.clear()
        self.drop_connections()
        self._pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._pump
        await self._sio.shutdown()
        await runner.cleanup()

    async def restart(self, *, downtime: float = 0.0) -> None:
        """Stop, stay away for ``downtime`` seconds, start again on the same port."""
        await self.stop()
        await asyncio.sleep(downtime)
        await self.start()

    # faults

    def lose_joins(self, count: int) -> None:
        """The next ``count`` joinChannel get no answer; the login that follows works all the same."""
        self.hub.faults.lost_joins = count

    @property
    def silent_login(self) -> bool:
        """While true, login gets no answer."""
        return self.hub.faults.silent_login

    @silent_login.setter
    def silent_login(self, silent: bool) -> None:
        self.hub.faults.silent_login = silent

    def delay(self, ms: float) -> None:
        """Hold every answer back by ``ms`` milliseconds."""
        self._delay = ms / 1000
        if self._wire is not None:
            self._wire.delay = self._delay

    def drop_connections(self) -> int:
        """Break every connection at the transport; returns how many. The server goes on listening."""
        broken = list(self._transports)
        for transport in broken:
            transport.abort()
        return len(broken)

    def kick(self, name: str, reason: str = "", *, channel: str | None = None) -> None:
        """Kick a user. Raises UnknownName."""
        room = self.room(channel)
        room.expel(self._member(room, name), reason)

    def ban(self, name: str, *, reason: str = "", channel: str | None = None) -> None:
        """Ban a name, whether its bearer is there or not."""
        self.room(channel).moderation.add_name_ban(name, reason=reason, by="sandbox")

    def unban(self, name: str, *, channel: str | None = None) -> None:
        """Let a name in again. Raises UnknownName when it is not banned."""
        if not self.room(channel).moderation.lift_name_ban(name):
            raise UnknownName(f"{name} is not banned.")

    # inspection

    def room(self, channel: str | None = None) -> Room:
        """A room; without a name that of the first configured channel."""
        return self.hub.room(channel or self.config.channels[0].name)

    def crowd(self, channel: str | None = None) -> Crowd:
        """The synthetic people of a room."""
        room = self.room(channel)
        return self._crowds.setdefault(room.name, Crowd(room))

    async def drained(self, backlog: int = 0) -> None:
        """Wait until no client has more than ``backlog`` events to read; without clients at once."""
        while self._wire is not None and self._wire.backlog > backlog:
            await asyncio.sleep(DRAIN_LOOK)

    def state(self) -> dict[str, object]:
        """What the control endpoint shows."""
        faults = self.hub.faults
        return {
            "connections": self.connections,
            "channels": {room.name: room.state() for room in self.hub.rooms.values()},
            "faults": {
                "lose_joins": faults.lost_joins,
                "silent_login": faults.silent_login,
                "delay_ms": self._delay * 1000,
            },
        }

    @property
    def users(self) -> list[str]:
        """Names of those in the first channel, in order of arrival."""
        return self.room().names

    @property
    def chat_log(self) -> Sequence[Line]:
        """What was said in public, in all channels, oldest first."""
        return list(self.record.chat)

    @property
    def pm_log(self) -> Sequence[Line]:
        """Private messages, oldest first."""
        return list(self.record.pm)

    @property
    def connections(self) -> int:
        """Connections that stand, in a room or not."""
        return len(self._sessions)

    # plumbing

    def _member(self, room: Room, name: str) -> Session:
        member = room.find(name)
        if member is None:
            present = ", ".join(room.names) or "nobody"
            raise UnknownName(f"{name} is not in {room.name}.", hint=f"There is: {present}.")
        return member

    def _make_socketio(self) -> Any:
        # in order within a connection, as Node handles events
        sio = socketio.AsyncServer(
            async_mode="aiohttp",
            async_handlers=False,
            cors_allowed_origins="*",
            ping_interval=self.config.ping_interval,
            ping_timeout=self.config.ping_timeout,
        )
        sio.on("connect", self._on_connect)
        sio.on("disconnect", self._on_disconnect)
        sio.on("*", self._on_event)
        return sio

    async def _on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        ip = _address(environ["aiohttp.request"])
        refusal = self.hub.refusal(ip)
        if refusal:
            raise socketio.exceptions.ConnectionRefusedError(refusal)
        assert self._wire is not None  # noqa: S101 - connections exist only while the server runs
        engine_sid = self._sio.manager.eio_sid_from_sid(sid, "/")
        outlet = Socket(self._wire, sid=sid, engine_sid=engine_sid)
        session = Session(ip=ip, outlet=outlet, clock=self.config.clock)
        self._sessions[sid] = session
        # the client has to hear of its connection before it hears of its rank
        asyncio.get_running_loop().call_soon(self.hub.opened, session)

    async def _on_disconnect(self, sid: str, reason: str) -> None:
        session = self._sessions.pop(sid, None)
        if session is None:
            return
        self.hub.closed(session)
        if isinstance(session.outlet, Socket):
            # engine.io would leave the client's last poll hanging until the next ping
            with contextlib.suppress(EngineIOError):
                await self._sio.eio.send_packet(session.outlet.engine_sid, Packet(NOOP))

    async def _on_event(self, event: str, sid: str, *args: object) -> object:
        answer = self._handle(event, sid, args[0] if args else None)
        return self._sio.not_handled if answer is None else answer

    def _on_line(self, line: engine3.Line) -> str:
        refusal = self.hub.refusal(line.address)
        if not refusal:
            session = Session(ip=line.address, outlet=line, clock=self.config.clock)
            self._sessions[line.sid] = session
            asyncio.get_running_loop().call_soon(self.hub.opened, session)
        return refusal

    def _handle(self, event: str, sid: str, data: object) -> object:
        self.received += 1
        session = self._sessions.get(sid)
        return self.hub.handle(session, event, data) if session is not None else None

    async def _socketconfig(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if not is_channel_name(name):
            return web.json_response({"error": f'Channel "{name}" does not exist.'}, status=404)
        url = f"{request.scheme}://{request.host}"
        return web.json_response({"servers": [{"url": url, "secure": request.secure}]})

    @web.middleware
    async def _remember_transport(self, request: web.Request, handler: Any) -> web.StreamResponse:
        transport = request.transport if request.path.startswith("/socket.io/") else None
        if transport is not None:
            self._transports.add(transport)
        try:
            response: web.StreamResponse
            if engine3.is_spoken(request):
                handlers = engine3.Handlers(self._on_line, self._handle, self._on_disconnect)
                ping = (self.config.ping_interval, self.config.ping_timeout)
                response = await engine3.serve(request, handlers, address=_address(request), ping=ping)
            else:
                response = await handler(request)
        finally:
            if transport is not None:
                self._transports.discard(transport)
        return response


def _address(request: web.Request) -> str:
    ip = request.remote or ""
    return request.headers.get("X-Forwarded-For", ip) if ip in _PROXIES else ip
