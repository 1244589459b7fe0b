"""A sandbox server from outside, through its control endpoint; no other server is touched."""

import ipaddress
import socket
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.cytube.control import PREFIX
from sandbox.cytube.errors import SandboxError

TIMEOUT = aiohttp.ClientTimeout(total=10)


class NotToBeLoaded(SandboxError):
    """The server is somebody else's, or no sandbox."""


def refuse_public(url: str) -> None:
    """Raise NotToBeLoaded unless every address of the server is of a private network. Sends it nothing."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname or "", parts.port or 80, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise NotToBeLoaded(f"The address of {url} is not known: {error}.") from error
    public = sorted({str(each[4][0]) for each in found if not _private(str(each[4][0]))})
    if public:
        raise NotToBeLoaded(
            f"{url} is a public server ({', '.join(public)}): it is not loaded.",
            hint="`python -m sandbox cytube` starts one that may be.",
        )


def _private(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return (parsed.is_private or parsed.is_loopback) and not parsed.is_unspecified


class Control:
    """One room of the server. Whatever breaks the connection raises aiohttp.ClientError or TimeoutError."""

    def __init__(self, url: str, channel: str) -> None:
        self.url = url
        self.channel = channel
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Control":
        refuse_public(self.url)
        self._http = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def room(self) -> dict[str, Any]:
        """Who and what is in the room. Raises NotToBeLoaded when that is no sandbox, or has no such room."""
        assert self._http is not None  # noqa: S101 - used inside `async with`
        async with self._http.get(f"{self.url}{PREFIX}/state") as response:
            known = response.status == 200 and response.content_type == "application/json"
            channels = (await response.json()).get("channels", {}) if known else {}
        if self.channel not in channels:
            raise NotToBeLoaded(
                f"{self.url} is no sandbox with the channel {self.channel}, or does not let this machine control it.",
                hint="`python -m sandbox cytube --channel NAME` starts one.",
            )
        room: dict[str, Any] = channels[self.channel]
        return room

    async def act(self, what: str, **body: object) -> bool:
        """`say`, `leave` and the like; False when the server refused, for instance somebody who is gone."""
        assert self._http is not None  # noqa: S101 - used inside `async with`
        body["channel"] = self.channel
        async with self._http.post(f"{self.url}{PREFIX}/{what}", json=body) as response:
            return response.status < 400
