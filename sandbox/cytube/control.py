"""The control endpoint: lets the demo and other processes act on a running sandbox server.

There is no password: only ``control_networks`` may use it, by default this machine. Bodies are JSON objects with
``Content-Type: application/json``; ``channel`` may be left out everywhere and means the first one.

==========================  ==================================================  =====================================
``GET /_sandbox/state``                                                         channels with users and playlists
``POST /_sandbox/say``      ``{name, msg, rank?}``                              a line by a synthetic user, who enters
                                                                                when absent
``POST /_sandbox/pm``       ``{name, to, msg, rank?}``                          a private message by a synthetic user
``POST /_sandbox/leave``    ``{name}``                                          a synthetic user goes
``POST /_sandbox/kick``     ``{name, reason?}``                                 kicks anybody
``POST /_sandbox/ban``      ``{name, reason?}``                                 bans a name
``POST /_sandbox/unban``    ``{name}``                                          lifts the ban
``POST /_sandbox/faults``   ``{lose_joins?, silent_login?, delay_ms?}``         switches faults
``POST /_sandbox/drop``     ``{}``                                              breaks all connections
``POST /_sandbox/restart``  ``{downtime?}``                                     stops and starts again, in seconds
==========================  ==================================================  =====================================

Answers: 200 with what is true afterwards, 202 for restart, 400 for a wrong body, 403 for a stranger, 404 for somebody
who is not there, 415 for another content type.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from sandbox.cytube.audience import Audience
from sandbox.cytube.config import ServerConfig
from sandbox.cytube.crowd import Crowd
from sandbox.cytube.errors import SandboxError, UnknownName
from sandbox.cytube.frames import BadFrame, as_object
from sandbox.cytube.names import is_user_name

PREFIX = "/_sandbox"

Body = dict[str, Any]


class Controlled(Protocol):
    """What the endpoint needs of a server; ``sandbox.cytube.server.CytubeServer`` is one."""

    config: ServerConfig
    silent_login: bool

    def state(self) -> dict[str, object]: ...
    def room(self, channel: str | None = None) -> Audience: ...
    def crowd(self, channel: str | None = None) -> Crowd: ...
    def lose_joins(self, count: int) -> None: ...
    def delay(self, ms: float) -> None: ...
    def drop_connections(self) -> int: ...
    def kick(self, name: str, reason: str = "", *, channel: str | None = None) -> None: ...
    def ban(self, name: str, *, reason: str = "", channel: str | None = None) -> None: ...
    def unban(self, name: str, *, channel: str | None = None) -> None: ...
    async def restart(self, *, downtime: float = 0.0) -> None: ...


class Control:
    """HTTP routes for one server."""

    def __init__(self, server: Controlled) -> None:
        self._server = server
        self._networks = [ipaddress.ip_network(each) for each in server.config.control_networks]
        self._restarts: set[asyncio.Task[None]] = set()

    def attach(self, app: web.Application) -> None:
        """Add the routes to ``app``."""
        app.router.add_get(f"{PREFIX}/state", self._state)
        app.router.add_post(f"{PREFIX}/restart", self._restart)
        actions: dict[str, Callable[[Body], None]] = {
            "say": self._say,
            "pm": self._pm,
            "leave": self._leave,
            "kick": self._kick,
            "ban": self._ban,
            "unban": self._unban,
            "faults": self._faults,
            "drop": self._drop,
        }
        for name, action in actions.items():
            app.router.add_post(f"{PREFIX}/{name}", self._answer(action))

    def _answer(self, action: Callable[[Body], None]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            body, wrong = await self._read(request)
            if wrong is not None:
                return wrong
            try:
                action(body)
            except UnknownName as missing:
                return _error(404, str(missing))
            except (BadFrame, SandboxError) as error:
                return _error(400, str(error))
            return web.json_response(self._server.state())

        return handler

    async def _read(self, request: web.Request) -> tuple[Body, web.Response | None]:
        if not self._is_known(request):
            return {}, _error(403, "The control endpoint is open to the server's own machine only.")
        if request.method == "GET":
            return {}, None
        if request.content_type != "application/json":
            return {}, _error(415, "Send the body as application/json.")
        try:
            return as_object(await request.json(), {"channel": "string?"}), None
        except (BadFrame, ValueError):
            return {}, _error(400, "Send a JSON object.")

    def _is_known(self, request: web.Request) -> bool:
        try:
            address = ipaddress.ip_address(request.remote or "")
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    async def _state(self, request: web.Request) -> web.Response:
        _, wrong = await self._read(request)
        return wrong or web.json_response(self._server.state())

    async def _restart(self, request: web.Request) -> web.StreamResponse:
        body, wrong = await self._read(request)
        if wrong is not None:
            return wrong
        try:
            downtime = as_object(body, {"downtime": "number?"}).get("downtime", 0.0)
        except BadFrame as error:
            return _error(400, str(error))
        response = web.json_response({"restarting": True, "downtime": downtime}, status=202)
        response.force_close()
        await response.prepare(request)
        await response.write_eof()
        task = asyncio.get_running_loop().create_task(self._server.restart(downtime=downtime))
        self._restarts.add(task)
        task.add_done_callback(self._restarts.discard)
        return response

    def _say(self, body: Body) -> None:
        wanted = as_object(body, {"name": "string", "msg": "string", "rank": "number?"})
        self._enter(wanted)
        self._server.crowd(wanted.get("channel")).say(wanted["name"], wanted["msg"])

    def _pm(self, body: Body) -> None:
        wanted = as_object(body, {"name": "string", "to": "string", "msg": "string", "rank": "number?"})
        self._enter(wanted)
        self._server.crowd(wanted.get("channel")).pm(wanted["name"], wanted["to"], wanted["msg"])

    def _enter(self, wanted: Body) -> None:
        name, channel = wanted["name"], wanted.get("channel")
        if not is_user_name(name):
            raise BadFrame("A name has 1 to 20 of a-z, A-Z, 0-9, - and _.")
        if self._server.room(channel).find(name) is None:
            self._server.crowd(channel).enter(name, rank=wanted.get("rank", 0))

    def _leave(self, body: Body) -> None:
        wanted = as_object(body, {"name": "string"})
        self._server.crowd(wanted.get("channel")).leave(wanted["name"])

    def _kick(self, body: Body) -> None:
        wanted = as_object(body, {"name": "string", "reason": "string?"})
        self._server.kick(wanted["name"], wanted.get("reason", ""), channel=wanted.get("channel"))

    def _ban(self, body: Body) -> None:
        wanted = as_object(body, {"name": "string", "reason": "string?"})
        self._server.ban(wanted["name"], reason=wanted.get("reason", ""), channel=wanted.get("channel"))

    def _unban(self, body: Body) -> None:
        wanted = as_object(body, {"name": "string"})
        self._server.unban(wanted["name"], channel=wanted.get("channel"))

    def _faults(self, body: Body) -> None:
        wanted = as_object(body, {"lose_joins": "number?", "silent_login": "boolean?", "delay_ms": "number?"})
        if "lose_joins" in wanted:
            self._server.lose_joins(int(wanted["lose_joins"]))
        if "silent_login" in wanted:
            self._server.silent_login = wanted["silent_login"]
        if "delay_ms" in wanted:
            self._server.delay(wanted["delay_ms"])

    def _drop(self, body: Body) -> None:
        self._server.drop_connections()


def _error(status: int, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)
