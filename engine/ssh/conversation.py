"""One remote command while it runs: bytes go in, lines come out, and silence is noticed."""

import contextlib
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Protocol

import paramiko

from engine.ssh.errors import Flooded, LinkLost, RemoteDeadline
from engine.ssh.transport import SILENCE

_BLOCK = 1 << 16
_GONE = (OSError, EOFError, paramiko.SSHException)  # what paramiko raises when the other end is no longer there
MOST_BYTES, MOST_LINES, LONGEST_LINE = 64 << 20, 100_000, 4 << 20
"""What a server may say in one conversation; a run whose nine steps all say as much as is kept stays below."""
MOST_ALTOGETHER, MOST_LINES_ALTOGETHER = 256 << 20, 400_000
"""In all conversations that are counted together: four times what one may have."""
HOT_BYTES, HOT_LINES, WINDOW_SECONDS = 5 << 20, 20_000, 10.0
HOT_WINDOWS = 3
"""So many windows one after the other with so much in each: half a megabyte a second, for half a minute. What is sent
whole, a long journal, comes faster and ends sooner."""
_SHOWN = 200  # bytes of what a server that says too much began with
_KEPT_BESIDE = 4000  # bytes kept of what is no record
_RECORD = re.compile(rb'\{"kind": ?"')
_DECODER = json.JSONDecoder()
_TRIES = 4  # beginnings of a record that are tried in a line: a hostile one has a million
_KEPT_STDERR = 1 << 20  # bytes of standard error kept; the rest is drained and dropped


class Command(Protocol):
    """What can be run: see commands.RemoteCommand."""

    @property
    def line(self) -> str:
        """The exact text for the remote shell."""


@dataclass
class OutputCount:
    """What one server has said in several conversations, which whoever holds them counts together."""

    size: int = 0
    lines: int = 0

    def add(self, size: int, lines: int) -> None:
        """So much more."""
        self.size += size
        self.lines += lines

    @property
    def too_much(self) -> bool:
        """Whether no program of ours says so much about one thing."""
        return self.size > MOST_ALTOGETHER or self.lines > MOST_LINES_ALTOGETHER


class OutputRate:
    """Whether a server goes on and on, within what one conversation may have."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._size = self._lines = self._hot = 0

    def too_fast(self, size: int, lines: int) -> bool:
        """Count so much more; True once three windows one after the other were full."""
        passed = self._clock() - self._began
        if passed >= WINDOW_SECONDS:
            full = self._size >= HOT_BYTES or self._lines >= HOT_LINES
            self._hot = self._hot + 1 if full and passed < 2 * WINDOW_SECONDS else int(full)
            self._began, self._size, self._lines = self._clock(), 0, 0
        self._size += size
        self._lines += lines
        return self._hot >= HOT_WINDOWS


class _News(threading.Event):
    """Set while there may be something to read, or an end to be noticed.

    Not `Channel.fileno()`: its pipe is closed and written to without a lock, so that under load a byte goes to
    whatever file got the number next (seen as "Bad file descriptor" on another connection's socket).
    """

    def clear(self) -> None:
        """paramiko clears when one buffer is drained; whether the other one is, only the reader knows."""

    def take(self) -> None:
        """Before looking, so that what arrives meanwhile is looked for again."""
        super().clear()


class Conversation:
    """A running remote command. Leaving the block closes its channel; it does not end what runs there.

    Standard error is drained all the time (5 MB of it undrained stop the remote side) and kept in `stderr`.
    Sending happens on its own thread: into a dead connection paramiko would block for ever.
    """

    def __init__(
        self,
        transport: paramiko.Transport,
        channel: paramiko.Channel,
        what: str,
        host: str = "the server",
        heard: OutputCount | None = None,
    ) -> None:
        self._host = host
        self.heard, self._rate = heard or OutputCount(), OutputRate()
        self._began = b""
        self._transport = transport
        self._channel = channel
        self._what = what
        self._news = _News()
        channel.in_buffer.set_event(self._news)
        channel.in_stderr_buffer.set_event(self._news)
        self._outgoing: queue.SimpleQueue[Iterable[bytes] | None] = queue.SimpleQueue()
        self._sender: threading.Thread | None = None
        self._failure: Exception | None = None
        self._source_failure: Exception | None = None
        self.stderr = b""
        self.beside = b""
        self.spoke = False
        """Whether one of our programs has said anything."""

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._transport.close()  # also wakes a sender that is stuck in a dead connection
        self.close()

    def close(self) -> None:
        """Its input and output end."""
        self._outgoing.put(None)
        with contextlib.suppress(*_GONE):
            self._channel.close()

    def send(self, chunks: Iterable[bytes]) -> None:
        """Queue bytes for its standard input. What goes wrong surfaces while reading, errors of `chunks` included."""
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_all, name="ssh-send", daemon=True)
            self._sender.start()
        self._outgoing.put(chunks)

    def end_input(self) -> None:
        """After all that was queued, its standard input ends."""
        self.send(())
        self._outgoing.put(None)

    def lines(self, *, deadline: float, silence: float = SILENCE) -> Iterator[bytes]:
        """The lines of its standard output, without their ends, until it closes it.

        Raises Flooded. `deadline`: seconds for all of them, else RemoteDeadline. `silence`: seconds without a byte,
        else LinkLost; for commands that promise a sign of life.
        """
        pending: list[bytes] = []  # joined once per line: an endless one is not copied again with every block
        length, count, total = 0, 0, 0
        for block in self.blocks(deadline=deadline, silence=silence):
            first, *rest = block.split(b"\n")
            pending.append(first)
            self._hear(block, len(rest))
            total, count, length = total + len(block), count + len(rest), length + len(first)
            if total > MOST_BYTES or count > MOST_LINES or length > LONGEST_LINE:
                raise Flooded(self._host, self._what, total, count, self._began)
            for piece in rest:
                yield b"".join(pending)
                pending, length = [piece], len(piece)
        if length:
            yield b"".join(pending)

    def blocks(self, *, deadline: float, silence: float | None = None) -> Iterator[bytes]:
        """As `lines`, in whatever pieces arrive."""
        ends = time.monotonic() + deadline
        heard = time.monotonic()
        while True:
            wait = ends - time.monotonic()
            if wait <= 0:
                raise RemoteDeadline(f"{self._what} did not end within {deadline:g} s.")
            if silence is not None:
                quiet = heard + silence - time.monotonic()
                if quiet <= 0:
                    raise LinkLost(f"Nothing was heard of {self._what} for {silence:g} s; it may still be running.")
                wait = min(wait, quiet)
            self._news.wait(wait)
            self._news.take()
            block = self._read()
            if block is None:
                continue
            self._news.set()  # there may be more where this came from
            if not block:
                if self._source_failure:
                    raise self._source_failure
                return
            heard = time.monotonic()
            yield block

    def records(self, *, deadline: float, silence: float = SILENCE) -> Iterator[dict[str, Any] | None]:
        """What one of our programs says, a record a line; None for a line without one. Raises as `lines`."""
        for line in self.lines(deadline=deadline, silence=silence):
            yield self.framed(line)

    def framed(self, line: bytes) -> dict[str, Any] | None:
        """The record of one of our programs in a line; whatever else stands there, before or behind, goes to `beside`.

        Shell start files print without an end of line, too.
        """
        for begin in islice(_RECORD.finditer(line), _TRIES):
            text = line[begin.start() :].decode(errors="replace")
            try:
                record, end = _DECODER.raw_decode(text)
            except (ValueError, RecursionError):
                continue
            self.spoke = True
            self._keep_beside(line[: begin.start()] + text[end:].encode())
            return dict(record)
        self._keep_beside(line)
        return None

    def _hear(self, block: bytes, lines: int) -> None:
        """Count it; raises Flooded for what is too fast, or too much with what was heard before."""
        if len(self._began) < _SHOWN:
            self._began = (self._began + block)[:_SHOWN]
        self.heard.add(len(block), lines)
        if self.heard.too_much or self._rate.too_fast(len(block), lines):
            raise Flooded(self._host, self._what, self.heard.size, self.heard.lines, self._began)

    def _keep_beside(self, said: bytes) -> None:
        if said.strip() and len(self.beside) < _KEPT_BESIDE:
            self.beside += said[:_KEPT_BESIDE] + b"\n"

    def everything(self, *, deadline: float) -> bytes:
        """All of its standard output. Raises Flooded for more than MOST_BYTES bytes, RemoteDeadline, LinkLost."""
        pieces, total = [], 0
        for block in self.blocks(deadline=deadline):
            pieces.append(block)
            self._hear(block, 0)
            total += len(block)
            if total > MOST_BYTES:
                raise Flooded(self._host, self._what, total, 0, self._began)
        return b"".join(pieces)

    def exit_code(self, *, deadline: float = SILENCE) -> int:
        """What it ended with; -1 for a signal. Raises LinkLost when the connection ended before it did."""
        if not self._channel.status_event.wait(deadline) or (self._channel.exit_status == -1 and self._cut()):
            raise self._lost()
        return self._channel.exit_status

    def _read(self) -> bytes | None:
        """A block of standard output; b"" at its end; None when there was only standard error or nothing."""
        channel = self._channel
        while channel.recv_stderr_ready():
            block = channel.recv_stderr(_BLOCK)
            self._hear(block, 0)
            if len(self.stderr) < _KEPT_STDERR:
                self.stderr += block
        if channel.recv_ready():
            return channel.recv(_BLOCK)
        if channel.eof_received or channel.closed:
            if channel.recv_ready():
                return channel.recv(_BLOCK)
            if self._cut():
                raise self._lost()
            return b""
        if self._cut():
            raise self._lost()
        return None

    def _cut(self) -> bool:
        return not self._transport.is_active() and not (self._channel.eof_received and self._channel.exit_status != -1)

    def _lost(self) -> LinkLost:
        cause = self._failure or self._transport.get_exception()
        return LinkLost(
            f"The connection ended while {self._what} ran{f' ({cause})' if cause else ''}; it may still be running."
        )

    def _send_all(self) -> None:
        try:
            while (chunks := self._outgoing.get()) is not None:
                for chunk in chunks:
                    self._channel.sendall(chunk)
            self._channel.shutdown_write()
        except _GONE as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - the source of the bytes broke: nobody must wait for more of them
            self._source_failure = error
            with contextlib.suppress(*_GONE):  # the reader may have hung up already
                self._channel.close()
