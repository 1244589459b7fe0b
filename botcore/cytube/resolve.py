"""Where a channel's socket server is. Asked again at every connect: CyTube may move a channel."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote, urlsplit

import aiohttp

from botcore.errors import ChannelRefused, Unreachable

MAX_BYTES = 64 * 1024


async def socket_server(http: aiohttp.ClientSession, domain: str, channel: str, *, timeout: float) -> str:
    """The URL of the channel's socket server, a secure one if there is one.

    Asks `GET <domain>/socketconfig/<channel>.json` (recording, scenario 01) for at most `timeout` seconds. Raises
    ChannelRefused when CyTube says that the name is invalid, and Unreachable for everything else.
    """
    url = f"{domain.rstrip('/')}/socketconfig/{quote(channel)}.json"
    try:
        async with asyncio.timeout(timeout), http.get(url) as response:
            status, body = response.status, await response.content.read(MAX_BYTES)
    except TimeoutError as error:
        raise Unreachable(f"{url} did not answer within {timeout:g} s.") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unreachable(f"{url} cannot be reached: {error or type(error).__name__}") from error
    if status == 404:
        raise ChannelRefused(f"CyTube does not know the channel name {channel!r}.", hint="Correct `channel.name`.")
    if status != 200:
        raise Unreachable(f"{url} answered with HTTP status {status}.")
    return _choose(url, body)


def _choose(url: str, body: bytes) -> str:
    try:
        servers = [server for server in json.loads(body)["servers"] if isinstance(server["url"], str)]
        chosen = next((server for server in servers if server.get("secure") is True), servers[0])["url"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Unreachable(f"{url} named no socket server.") from error
    if urlsplit(chosen).scheme not in {"http", "https", "ws", "wss"}:
        raise Unreachable(f"{url} named a socket server that is not HTTP.")
    return str(chosen)
