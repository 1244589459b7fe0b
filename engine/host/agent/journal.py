"""The record on disk that everything can be settled from."""

from __future__ import annotations

import errno
import json
import os
from typing import Any, Dict, Iterator, List, Optional

from .files import fsync_path, read_bytes, write_all
from .limits import JOURNAL_LIMIT, NOW, SOON, Record
from .tree import Tree


class Journal:
    """The agent's own record: JSON lines, all of them synced, the decisive ones before anything goes on."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._fd = -1
        self._syncer = 0
        self._wake = -1

    def rotate(self) -> None:
        """Begin a new file when this one has grown; the one before is still read."""
        try:
            if os.stat(self._tree.journal).st_size > JOURNAL_LIMIT:
                os.rename(self._tree.journal, self._tree.journal_old)
                fsync_path(self._tree.deploy)
        except FileNotFoundError:
            pass

    def append(self, record: Record, sync: int) -> None:
        """Add a record, with the ballast's room when the disk is full. `sync`: NOW, SOON or LATER."""
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        try:
            self._append(line, sync)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._tree.drop_ballast():
                raise
            self._append(b"\n" + line, sync)

    def _append(self, line: bytes, sync: int) -> None:
        if self._fd < 0:
            self._fd = self._open()
        write_all(self._fd, line)
        if sync == NOW:
            os.fdatasync(self._fd)
        elif sync == SOON:
            self._sync_soon()

    def _sync_soon(self) -> None:
        """On disk within milliseconds, without waiting: a step's end need not be there before the next one begins."""
        if self._syncer != os.getpid():  # a thread does not come along through fork
            import _thread

            read_end, self._wake = os.pipe()
            os.set_blocking(self._wake, False)
            self._syncer = os.getpid()
            _thread.start_new_thread(self._keep_syncing, (read_end, os.dup(self._fd)))
        try:
            os.write(self._wake, b"!")
        except BlockingIOError:
            pass

    @staticmethod
    def _keep_syncing(wake: int, fd: int) -> None:
        while os.read(wake, 4096):
            try:
                os.fdatasync(fd)
            except OSError:  # who needs it on disk before going on asks for that, and hears of it
                continue

    def _open(self) -> int:
        new = not os.path.exists(self._tree.journal)
        fd = os.open(self._tree.journal, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")  # a power cut tore the last line
        if new:
            fsync_path(self._tree.deploy)
        return fd

    def close(self) -> None:
        """Let go of the file; the next record opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def records(self, *wanted: bytes) -> Iterator[Record]:
        """All records whose line contains one of these; a line that a power cut tore is left out."""
        for path in (self._tree.journal_old, self._tree.journal):
            try:
                content = read_bytes(path)
            except FileNotFoundError:
                continue
            for line in content.split(b"\n"):
                if wanted and not any(text in line for text in wanted):
                    continue
                try:
                    record = json.loads(line) if line else None
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record

    def of(self, deployment: str, after: int = 0) -> List[Record]:
        """The records of a deployment, in order."""
        text = b'"deployment":' + json.dumps(deployment).encode()
        found = [r for r in self.records(text) if r.get("deployment") == deployment and r.get("seq", 0) > after]
        return sorted(found, key=lambda record: int(record["seq"]))

    def last_run(self) -> Optional["RunState"]:
        """What the journal says about the run that was begun last."""
        begun = [record for record in self.records(b'"kind":"run"') if record.get("kind") == "run"]
        if not begun:
            return None
        state = RunState(begun[-1])
        for record in self.of(state.deployment, state.seq):
            state.add(record)
        return state


class RunState:
    """A run as its journal tells it."""

    def __init__(self, run: Record) -> None:
        self.plan: Record = run["plan"]
        self.deployment = str(run["deployment"])
        self.fence = int(run["fence"])
        self.seq = int(run["seq"])
        self.before: Optional[Record] = None
        self.begun: List[str] = []
        self.ended: List[str] = []
        self.verified: Optional[Record] = None
        self.result: Optional[Record] = None
        self.cause: Optional[Record] = None
        self.went_back: List[str] = []  # hooks whose way back ran
        self.facts: Dict[str, Any] = {}
        self.seconds: Dict[str, float] = {}

    def add(self, record: Record) -> None:
        """Take the next record of the run into account."""
        self.seq = max(self.seq, int(record.get("seq", 0)))
        kind, step = record.get("kind"), str(record.get("step", ""))
        if kind == "step" and record.get("state") == "begin":
            self.begun.append(step)
        elif kind == "step":
            if record.get("state") == "ok":
                self.ended.append(step)
            self.facts[step] = record.get("facts", {})
            self.seconds[step] = record.get("seconds", 0.0)
        elif kind == "went_back":
            self.went_back.append(str(record.get("hook")))
        elif kind == "before":
            self.before = record
        elif kind == "verified":
            self.verified = record
        elif kind == "reverting":  # what had succeeded is being undone, or what failed: the point of return is gone
            self.verified, self.result, self.cause = None, None, record
        elif kind == "result":
            self.result = record

    @property
    def unfinished(self) -> bool:
        """Whether nobody has said yet how the run ended."""
        return self.result is None
