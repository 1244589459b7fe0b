"""What units wrote: read from the journal and followed, for as long as the portal listens."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, List, Optional

from .attached_command import listens
from .limits import ALIVE_EVERY, LINE_LIMIT, LISTENER_TIMEOUT, OUTPUT_LIMIT, UNIT_NAME, Record
from .processes import Tools
from .recorder import Masker, outcome
from .request import need
from .tree import Tree
from .wire import Frames, Stream

LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
LOG_FIELDS = "MESSAGE,PRIORITY,_SYSTEMD_UNIT,UNIT,__REALTIME_TIMESTAMP"


def verb_logs(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Lines of units, oldest first; with `follow` on and on, until nobody listens or `seconds` are over."""
    request = frames.request()
    need(request["units"] and all(UNIT_NAME.fullmatch(unit) for unit in request["units"]), "units are missing")
    need(request["level"] in LEVELS, "%r is no level" % (request["level"],))
    process = Tools("logs", tree.root).start(argv_of(request), merge=False)
    try:
        return Reader(process.stdout.fileno(), request, Masker(tree), stream).read()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def argv_of(request: Record) -> List[str]:
    """The question to journalctl; a search looks backwards, so that the newest are found first."""
    argv = ["/usr/bin/journalctl", "-q", "--no-pager", "-o", "json", "--output-fields=" + LOG_FIELDS]
    argv += ["--priority", request["level"]]
    for unit in request["units"]:
        argv += ["--unit", unit]
    if request["since"]:
        argv += ["--since", "@%d" % request["since"]]
    if request["follow"]:
        return [*argv, "--follow", "--lines", str(int(request["lines"]))]
    return [*argv, "--reverse"] if request["grep"] else [*argv, "--lines", str(int(request["lines"]))]


class Reader:
    """Passes lines on while somebody listens: the portal says so again and again on our standard input."""

    def __init__(self, source: int, request: Record, masker: Masker, stream: Stream) -> None:
        self._source = source
        self._request = request
        self._masker = masker
        self._stream = stream
        self._wanted = str(request["grep"]).casefold()
        self._told = 0
        self._backwards: List[Record] = []

    def read(self) -> Record:
        """Until there is no more, nobody listens, or time is up."""
        ends, heard, rest = time.monotonic() + float(self._request["seconds"]), time.monotonic(), b""
        while True:
            now = time.monotonic()
            if now >= ends or now - heard > LISTENER_TIMEOUT:
                return self._end("time_over", "The time for reading the journal is over.")
            waiting = [self._stream.fd] if self._stream.waiting else []
            ready, _, _ = select.select([self._source, 0], waiting, [], min(ALIVE_EVERY, ends - now))
            self._stream.tick()
            if 0 in ready:
                if not listens():
                    return self._end("nobody_listens", "Nobody listens any more.")
                heard = time.monotonic()
            if self._source in ready and not self._stream.crowded:
                block = os.read(self._source, 1 << 16)
                *lines, rest = (rest + block).split(b"\n")
                rest = rest if len(rest) < OUTPUT_LIMIT else b""
                if not all(self._take(line) for line in lines) or not block:
                    return self._end("journal", "That is all.")

    def _take(self, line: bytes) -> bool:
        """False once a search has found as many as it should."""
        entry = as_line(line)
        if entry is None:
            return True
        entry["text"] = self._masker.text(entry["text"])[:LINE_LIMIT]
        if self._wanted and self._wanted not in entry["text"].casefold():  # nobody guesses a secret by searching
            return True
        if self._wanted and not self._request["follow"]:
            self._backwards.append(entry)
            return len(self._backwards) < int(self._request["lines"])
        self._tell(entry)
        return True

    def _tell(self, entry: Record) -> None:
        self._told += 1
        self._stream.put(json.dumps({"kind": "line", **entry}, separators=(",", ":")).encode() + b"\n")

    def _end(self, reason: str, sentence: str) -> Record:
        for entry in reversed(self._backwards):
            self._tell(entry)
        return outcome("succeeded", reason, sentence, lines=self._told)


def as_line(line: bytes) -> Optional[Record]:
    """A line of the journal; None for what is none. What a unit wrote may be bytes of any kind, or too long to keep."""
    try:
        entry: Any = json.loads(line)
        at = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    except (ValueError, KeyError, TypeError):
        return None
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(message).decode(errors="replace")
    level = str(entry.get("PRIORITY", "6"))
    return {
        "at": at,
        "unit": str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT") or ""),
        "level": LEVELS[int(level)] if level in "01234567" else "info",
        "text": ("(too long for the journal)" if message is None else str(message)),
    }
