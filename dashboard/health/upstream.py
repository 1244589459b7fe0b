"""One GET to a bot, with a deadline over everything: name, connection, headers and body.

The usual clients limit each read, so that a bot sending one byte a second holds them for ever. Here the time that is
left is set before every single read. Redirects are not followed, and a body over the limit is an error.
"""

import http.client
import io
import ipaddress
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

from dashboard.errors import BotUnreachable, InvalidHealthResponse

DEADLINE = 2.0  # seconds, from the name to the last byte
BODY_LIMIT = 8192  # bytes; a health document has about 200
_HEADER_LIMIT = 200  # characters of a header that is passed on


@dataclass(frozen=True)
class Answer:
    """What a bot answered, and how long that took in seconds."""

    status: int
    body: bytes
    reason: str
    release: str
    seconds: float


def fetch(host: str, port: int, path: str, *, deadline: float = DEADLINE, limit: int = BODY_LIMIT) -> Answer:
    """GET http://host:port/path. Raises BotUnreachable or InvalidHealthResponse within `deadline` s, whatever comes."""
    started = time.monotonic()
    end = started + deadline
    try:
        with _connect(host, port, end) as connection:
            name = f"[{host}]" if ":" in host else host
            request = (
                f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
            )
            connection.settimeout(_left(end))
            connection.sendall(request.encode("ascii"))
            response = http.client.HTTPResponse(cast(socket.socket, _Deadlined(connection, end)), method="GET")
            response.begin()
            body = _body(response, limit)
    except TimeoutError as error:
        raise BotUnreachable(f"The bot did not answer within {deadline:g} s.") from error
    except OSError as error:
        raise BotUnreachable(f"The bot cannot be reached: {error.strerror or type(error).__name__}.") from error
    except http.client.HTTPException as error:
        raise InvalidHealthResponse("The bot's health port does not speak HTTP as it should.") from error
    return Answer(
        response.status,
        body,
        _printable(response.getheader("X-Reason")),
        _printable(response.getheader("X-Release")),
        time.monotonic() - started,
    )


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    if response.status not in (200, 503):
        raise InvalidHealthResponse(f"The bot's health address answered with status {response.status}.")
    body = response.read(limit + 1)
    if len(body) > limit:
        raise InvalidHealthResponse(f"The bot's health answer is longer than {limit} bytes.")
    return body


def _connect(host: str, port: int, end: float) -> socket.socket:
    refused: OSError | None = None
    for family, kind, protocol, _, address in _resolve(host, port, end):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(_left(end))
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            refused = error
    raise refused or OSError("no address")


def _resolve(host: str, port: int, end: float) -> list[Any]:
    """Addresses of `host`. The resolver takes no deadline, so it is asked in a thread that may be left behind."""
    try:
        ipaddress.ip_address(host)
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except ValueError:
        found: list[Any] = []
        failed: list[OSError] = []

        def ask() -> None:
            try:
                found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except OSError as error:
                failed.append(error)

        asking = threading.Thread(target=ask, name="resolve", daemon=True)
        asking.start()
        asking.join(_left(end))
        if asking.is_alive():
            raise TimeoutError from None
        if failed:
            raise failed[0] from None
        return found


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _printable(value: str | None) -> str:
    return "".join(c for c in value or "" if " " <= c <= "~")[:_HEADER_LIMIT]


class _Deadlined(io.RawIOBase):
    """The reading side of a socket as http.client wants it; every read gets only the time that is left."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._end))
        return self._connection.recv_into(buffer)
