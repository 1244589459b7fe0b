"""gunicorn's threaded worker, whose threads no visitor holds (`portal.gunicorn`).

A request is given to a thread when it lies whole in the kernel's buffer (`portal.incoming_requests`). What a thread
still waits for, the rest of a large body and a reader of the answer, has deadlines, and large bodies never have all
threads.
"""

import contextlib
import selectors
import socket
import struct
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # published without types

from portal.incoming_requests import BODY_BYTES, State, bytes_here, look

ARRIVE_SECONDS = 10.0
"""A small request is here by then, from its first byte on, and a connection that says nothing is closed."""
ANSWER_SECONDS = 300.0
"""A request is answered by then: far beyond everything that waits for something, such as `?wait=`."""
STALL_SECONDS = 10
"""So long a reader of an answer may take nothing."""
BYTES_A_SECOND = 32 << 10
"""A large body comes at least so fast, once ARRIVE_SECONDS are over."""
SEND_BYTES = 1 << 20
MOST_WAITING = 400
"""Connections that say nothing, and as many that say half of something; beyond them the oldest goes."""
LOOK_SECONDS = 0.02
_REFUSALS = {
    State.TOO_LARGE: b"HTTP/1.1 413 Content Too Large",
    State.NO_LENGTH: b"HTTP/1.1 411 Length Required",
    State.HEAD_TOO_LARGE: b"HTTP/1.1 431 Request Header Fields Too Large",
}


class BoundedWorker(ThreadWorker):  # type: ignore[misc]  # published without types
    """`enqueue_req` is the one way to a thread; here a request waits before it until it has arrived."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[Any, tuple[float, int]] = {}  # deadline, bytes at the last look
        self._deadlines: dict[Any, float] = {}
        self._large: set[Any] = set()  # in threads
        self._queued: set[Any] = set()  # large too, and waiting for one

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection to a thread if its request is here, else look again."""
        buffered = conn.parser.unreader.buf.getvalue() if conn.parser is not None else b""
        here = bytes_here(conn.sock)  # before the look: what comes during it is seen at the next one
        arrival = look(conn.sock, buffered)
        if arrival.state is State.SILENT:
            self._wait_for_a_word(conn)
        elif arrival.state in _REFUSALS:
            self._refuse(conn, _REFUSALS[arrival.state])
        elif arrival.state is State.WHOLE:
            self._give(conn, ANSWER_SECONDS)
        elif arrival.state is State.LARGE and len(self._large) < self.cfg.threads // 2:
            self._large.add(conn)
            grace = ANSWER_SECONDS if arrival.body > BODY_BYTES else 2 * ARRIVE_SECONDS
            self._give(conn, grace + arrival.body / BYTES_A_SECOND)
        else:
            if arrival.state is State.LARGE:
                self._queued.add(conn)
            deadline, _ = self._arriving.get(conn, (time.monotonic() + ARRIVE_SECONDS, 0))
            self._arriving[conn] = deadline, here

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """gunicorn's loop, which also looks at what arrives and at deadlines."""
        super().wait_for_and_dispatch_events(LOOK_SECONDS if self._arriving else timeout)
        now = time.monotonic()
        for conn, (deadline, before) in list(self._arriving.items()):
            if now > deadline or len(self._arriving) > MOST_WAITING:  # the oldest first
                self._refuse(conn, b"HTTP/1.1 408 Request Timeout")
            elif conn in self._queued or bytes_here(conn.sock) != before:
                self.enqueue_req(conn)
        for conn, deadline in list(self._deadlines.items()):
            if now > deadline:
                with contextlib.suppress(OSError):  # its thread hears of the end, and is free
                    conn.sock.shutdown(socket.SHUT_RDWR)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """The thread is free."""
        self._deadlines.pop(conn, None)
        self._large.discard(conn)
        super().finish_request(conn, fs)

    def _give(self, conn: Any, seconds: float) -> None:
        self._arriving.pop(conn, None)
        self._queued.discard(conn)
        self._deadlines[conn] = time.monotonic() + seconds
        conn.data_ready = True
        with contextlib.suppress(OSError):
            stall = struct.pack("@ll", STALL_SECONDS, 0)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, stall)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, stall)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)  # most answers fit: nobody waits
        super().enqueue_req(conn)

    def _wait_for_a_word(self, conn: Any) -> None:
        while len(self.pending_conns) >= MOST_WAITING:
            oldest = self.pending_conns.popleft()
            self.poller.unregister(oldest.sock)
            self.nr_conns -= 1
            oldest.close()
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + ARRIVE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _refuse(self, conn: Any, status: bytes) -> None:
        self._arriving.pop(conn, None)
        self._queued.discard(conn)
        self.nr_conns -= 1
        with contextlib.suppress(OSError):
            conn.sock.setblocking(False)
            conn.sock.send(status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.recv(BODY_BYTES)  # else the kernel resets the connection, and the refusal is lost
        conn.close()
