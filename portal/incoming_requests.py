"""Requests that are still arriving: looked at without being read, so that none of them holds a thread.

A visitor may send a head or a body as slowly as he likes, or never end it. Until a request lies whole in the kernel's
buffer it costs a socket and no thread; large ones, of which there are few, are read by a thread that has a deadline.
"""

import array
import fcntl
import re
import socket
import termios
from dataclasses import dataclass
from enum import Enum, auto

HEAD_BYTES = 32 << 10
"""A head has fewer; browsers send 1 to 4 KiB."""
SMALL_BYTES = 48 << 10
"""Head and body of what waits in the kernel; its buffer takes more than 64 KiB (tcp_rmem)."""
BODY_BYTES = 2_621_440
"""The longest body outside the release API; Django's own default for what it keeps in memory."""
UPLOADS = re.compile(rb"POST /api/v1/releases(\?[^ ]*)? HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization:[ \t]*bearer cyop_", re.IGNORECASE)


class State(Enum):
    """How far a request has come."""

    SILENT = auto()
    """Not a byte yet."""
    ARRIVING = auto()
    WHOLE = auto()
    """All of it is here, or what is here is no request and is refused by the parser."""
    LARGE = auto()
    """The head is here; a thread has to read the body."""
    TOO_LARGE = auto()
    NO_LENGTH = auto()
    """Chunked: Django reads no body without a length, so nobody of ours sends one."""
    HEAD_TOO_LARGE = auto()


@dataclass(frozen=True)
class Arrival:
    """A state, and the length of the body where one was given."""

    state: State
    body: int = 0


def bytes_here(connection: socket.socket) -> int:
    """How many bytes lie in the kernel's buffer; -1 when the connection is broken."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(connection.fileno(), termios.FIONREAD, count)
    except OSError:
        return -1
    return count[0]


def look(connection: socket.socket, buffered: bytes = b"") -> Arrival:
    """How far the next request on a connection has come; `buffered` is what was read of it already."""
    try:
        waiting = connection.recv(SMALL_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return judge(buffered) if buffered else Arrival(State.SILENT)
    except OSError:
        return Arrival(State.WHOLE)  # broken: whoever reads it finds out
    if not waiting:
        return Arrival(State.WHOLE)  # closed by the visitor
    return judge(buffered + waiting)


def judge(data: bytes) -> Arrival:
    """How far a request has come of which these bytes are here."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return Arrival(State.HEAD_TOO_LARGE if len(data) >= HEAD_BYTES else State.ARRIVING)
    head = data[: end + 2]
    if _CHUNKED.search(head):
        return Arrival(State.NO_LENGTH)
    match = _LENGTH.search(head)
    body = int(match[1]) if match else 0
    if body > BODY_BYTES and not (UPLOADS.match(head) and _BEARER.search(head)):
        return Arrival(State.TOO_LARGE, body)
    if len(data) - end - 4 >= body:
        return Arrival(State.WHOLE, body)
    if _EXPECT.search(head) or end + 4 + body > SMALL_BYTES:
        return Arrival(State.LARGE, body)
    return Arrival(State.ARRIVING, body)
