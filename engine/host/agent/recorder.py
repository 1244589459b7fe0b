"""What is told: masked, into the journal first, then to whoever listens."""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Any, Callable, Dict, List, Tuple

from .files import names_in, now_iso, read_bytes
from .journal import Journal
from .limits import DECISIVE, LATER, LINE_LIMIT, LOG_HEAD, LOG_TAIL, NOW, SOON, Record
from .tree import Tree


class Masker:
    """Takes the values of shared/secrets out of any text."""

    def __init__(self, tree: Tree) -> None:
        self._found: List[Tuple[str, str]] = []
        for name in names_in(tree.secrets):
            try:
                value = read_bytes(os.path.join(tree.secrets, name)).decode(errors="replace").strip()
            except OSError:
                continue
            # text is emitted line by line, so a key of several lines has to be known by its lines
            parts = {value} | {line.strip() for line in value.splitlines() if len(line.strip()) >= 8}
            self._found += [(part, "[secret %s]" % name) for part in parts if part]
        self._found.sort(key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        """The text with every secret replaced by its name."""
        for value, instead in self._found:
            if value in text:
                text = text.replace(value, instead)
        return text

    def value(self, value: Any) -> Any:
        """The same for whatever JSON can hold, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


class Recorder:
    """Writes what happens: journal first, then the line to whoever listens."""

    def __init__(
        self,
        journal: Journal,
        emit: Callable[[Record], None],
        masker: Masker,
        state_of: Record,
        lenient: bool = False,
    ) -> None:
        self._lenient = lenient  # what undoes things goes on when not even the journal can be written
        self.journal = journal
        self._emit = emit
        self.masker = masker
        self.deployment = str(state_of["deployment"])
        self.fence = int(state_of["fence"])
        self.seq = int(state_of["seq"])
        self._lines: Dict[str, int] = {}
        self._held: Dict[str, deque[Record]] = {}

    def record(self, kind: str, fields: Record, sync: int = NOW) -> Record:
        """Number a record, write it, pass it on. Raises OSError when it cannot be written, unless lenient."""
        self.seq += 1
        record = {"kind": kind, "seq": self.seq, "at": now_iso(), "deployment": self.deployment, "fence": self.fence}
        record.update(self.masker.value(fields))
        try:
            self.journal.append(record, sync)
        except OSError:
            if not self._lenient:
                raise
        self._emit(record)
        return record

    def emit(self, record: Record) -> None:
        """Something for the portal that is no part of the record."""
        self._emit(self.masker.value(record))

    def log(self, step: str, text: str, stream: str = "agent") -> None:
        """A line of a step. Of very many the newest are held until the step ends: they say how it came to that."""
        count = self._lines[step] = self._lines.get(step, 0) + 1
        line = {"step": step, "stream": stream, "text": shortened(self.masker.text(text))}
        if count <= LOG_HEAD + LOG_TAIL:
            self._write_line(line)
        else:
            self._held.setdefault(step, deque(maxlen=LOG_TAIL)).append(line)

    def _write_line(self, line: Record) -> None:
        try:
            self.record("log", line, LATER)
        except OSError:  # a full disk must not end the work for the sake of a line of output
            pass

    def flush(self) -> None:
        """Write the lines that are held, after one that says how many were left out before them."""
        for step, lines in self._held.items():
            left_out = self._lines[step] - LOG_HEAD - LOG_TAIL - len(lines)
            self._lines[step] -= left_out
            if left_out:
                text = "(%d lines are left out here)" % left_out
                self._write_line({"step": step, "stream": "agent", "text": text, "left_out": left_out})
            while lines:
                self._lines[step] -= 1
                self._write_line(lines.popleft())

    def begin(self, step: str) -> float:
        """A step begins; on disk before it does when it changes what runs. The moment, for `end`."""
        fields = {"step": step, "state": "begin", "seconds": 0.0, "facts": {}}
        self.record("step", fields, NOW if step in DECISIVE else SOON)
        return time.monotonic()

    def end(self, step: str, state: str, since: float, facts: Record) -> None:
        """A step has ended: "ok", "failed" or "reverted", with what it found out."""
        self.flush()
        seconds = round(time.monotonic() - since, 4)
        self.record("step", {"step": step, "state": state, "seconds": seconds, "facts": facts}, SOON)


def shortened(text: str) -> str:
    """A line of at most LINE_LIMIT characters, which says how many are missing: its end may say why something failed.

    Masked before: half a secret is none that a mask knows.
    """
    if len(text) <= LINE_LIMIT:
        return text
    kept = LINE_LIMIT // 2 - 40
    return "%s (%d characters are left out here) %s" % (text[:kept], len(text) - 2 * kept, text[-kept:])


def outcome(status: str, reason: str, sentence: str, **facts: Any) -> Record:
    """The result of a verb that is no run."""
    return {"kind": "result", "seq": 0, "status": status, "reason": reason, "sentence": sentence, "facts": facts}
