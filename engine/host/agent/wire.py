"""The line to the portal: frames and tar come in, JSON lines go out."""

from __future__ import annotations

import json
import os
import select
import struct
import time
import zlib
from collections import deque
from typing import Iterator, Tuple

from .errors import Hangup, Refused
from .limits import ALIVE_EVERY, BACKLOG, BLOCK, PROTOCOL, READ_TIMEOUT, Record


class Stream:
    """Lines to the portal that never make the work wait: a slow reader loses log lines, a gone one everything."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._open = True
        self.last = time.monotonic()
        os.set_blocking(fd, False)

    def put(self, line: bytes, droppable: bool = False) -> None:
        """Queue a line and send what the reader takes; a droppable one is lost when too much waits."""
        if not self._open or (droppable and self._size > BACKLOG):
            return
        self._queue.append(line)
        self._size += len(line)
        self.last = time.monotonic()
        self.pump()

    def record(self, record: Record) -> None:
        """A record as a line; output and signs of life may be dropped."""
        self.put(json.dumps(record, separators=(",", ":")).encode() + b"\n", record.get("kind") in ("log", "alive"))

    def pump(self) -> None:
        """Send what the reader takes now; a reader that is gone ends it all."""
        while self._queue and self._open:
            try:
                written = os.write(self.fd, self._queue[0])
            except BlockingIOError:
                return
            except OSError:
                self._open = False
                self._queue.clear()
                return
            self._size -= written
            if written < len(self._queue[0]):
                self._queue[0] = self._queue[0][written:]
            else:
                self._queue.popleft()

    @property
    def waiting(self) -> bool:
        """Whether something still wants to be sent to somebody who is there."""
        return self._open and bool(self._queue)

    @property
    def crowded(self) -> bool:
        """Whether more waits than a reader who keeps up would leave."""
        return self._open and self._size > BACKLOG

    def tick(self) -> None:
        """A sign of life when it is time for one."""
        if time.monotonic() - self.last >= ALIVE_EVERY:
            self.record({"kind": "alive"})
        self.pump()

    def drain(self, timeout: float = 5.0) -> None:
        """Give a slow reader a little time to take the rest."""
        ends = time.monotonic() + timeout
        while self.waiting and time.monotonic() < ends:
            select.select([], [self.fd], [], 0.2)
            self.pump()


FRAME_LIMITS = {b"P": 64 << 20, b"V": 1 << 20, b"T": 1 << 40}  # bytes by kind


class Frames:
    """P a request (zlib, JSON) · T a tar · V a value."""

    HEADER = struct.Struct(">cQ")

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        self._left = 0

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises Hangup."""
        parts = []
        while size:
            block = self._some(min(size, BLOCK))
            parts.append(block)
            size -= len(block)
        return b"".join(parts)

    def _some(self, limit: int) -> bytes:
        ends = time.monotonic() + READ_TIMEOUT
        while True:
            try:
                block = os.read(self._fd, limit)
            except BlockingIOError:
                left = ends - time.monotonic()
                if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                    raise Hangup("nothing came from the portal for %d s" % READ_TIMEOUT) from None
                continue
            except OSError as error:
                raise Hangup(str(error)) from None
            if not block:
                raise Hangup("the portal closed the line")
            return block

    def frame(self, kind: bytes) -> int:
        """The size of the next frame, which must be of this kind."""
        found, size = self.HEADER.unpack(self.read(self.HEADER.size))
        if found != kind or size > FRAME_LIMITS[kind]:
            raise Refused("bad_request", "The portal sent something else than the protocol says; update the portal.")
        return int(size)

    def request(self) -> Record:
        """The request of a verb. Raises Refused for another protocol, Hangup for none."""
        packed = self.read(self.frame(b"P"))
        inflate = zlib.decompressobj()
        try:
            request = json.loads(inflate.decompress(packed, 64 << 20))
        except (zlib.error, ValueError):
            request = None
        if not isinstance(request, dict) or request.get("protocol") != PROTOCOL:
            raise Refused("bad_request", "The request is not of protocol %d; update the portal." % PROTOCOL)
        return request

    def skip(self, size: int) -> None:
        """Take what was sent and is not needed."""
        while size:
            size -= len(self._some(min(size, BLOCK)))

    def value(self) -> bytes:
        """A value, such as a secret's."""
        return self.read(self.frame(b"V"))


class TarReader:
    """Regular files out of a ustar stream of known length (POSIX.1-1988, with POSIX.1-2001 path records)."""

    def __init__(self, frames: Frames, size: int) -> None:
        self._frames = frames
        self._left = size

    def _take(self, size: int) -> bytes:
        if size > self._left:
            raise Refused("bad_request", "The tar of the files ends too early; build the release again.")
        self._left -= size
        return self._frames.read(size)

    def members(self) -> Iterator[Tuple[str, int]]:
        """Path and size of each; its content has to be taken with `content` before the next one."""
        path = ""
        while self._left >= 512:
            header = self._take(512)
            if not header.strip(b"\0"):
                break
            size = self._number(header)
            kind = header[156:157]
            if kind == b"x":
                path = self._pax_path(self._take(-(-size // 512) * 512)[:size])
                continue
            if kind not in (b"0", b"\0"):
                raise Refused("bad_request", "The tar holds something that is no file; build the release again.")
            if not path:
                name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
                path = (prefix + b"/" + name if prefix else name).decode(errors="surrogateescape")
            yield path, size
            path = ""
        while self._left:
            self._take(min(self._left, BLOCK))

    @staticmethod
    def _number(header: bytes) -> int:
        try:
            checksum = int(header[148:156].split(b"\0")[0] or b"0", 8)
            if checksum != sum(header[:148]) + sum(header[156:]) + 256:
                raise ValueError
            return int(header[124:136].rstrip(b"\0 ") or b"0", 8)
        except ValueError:
            raise Refused("bad_request", "The tar of the files is damaged; send it again.") from None

    @staticmethod
    def _pax_path(content: bytes) -> str:
        while content:
            length = int(content.split(b" ", 1)[0])
            key, _, value = content[:length].split(b" ", 1)[1].rstrip(b"\n").partition(b"=")
            if key == b"path":
                return value.decode(errors="surrogateescape")
            content = content[length:]
        return ""

    def content(self, size: int) -> Iterator[bytes]:
        """The content of the member at hand, in blocks."""
        left = size
        while left:
            block = self._take(min(left, BLOCK))
            left -= len(block)
            yield block
        if size % 512:
            self._take(512 - size % 512)
