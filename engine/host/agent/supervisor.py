"""The parent: lock, deadlines, the line to the portal, and the end of the run."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any, Callable, List, Optional

from .files import read_json, unlink
from .journal import Journal
from .limits import ALIVE_EVERY, LAST_WORDS, Record
from .lock import Lock
from .processes import kill_and_reap, sweep
from .recorder import Masker, Recorder, outcome
from .settle import DIED, plan_summary, settle_last
from .tree import Tree
from .wire import Frames, Stream
from .worker import Worker


class Supervisor:
    """Starts the worker, passes on what it says, holds the deadlines, and settles in the end."""

    def __init__(self, tree: Tree, plan: Record, lock: Lock, journal: Journal, stream: Stream, frames: Frames) -> None:
        self.tree = tree
        self.plan = plan
        self.lock = lock
        self.journal = journal
        self.stream = stream
        self.frames = frames
        self._worker = 0
        self._heard = b""
        self._outcome: Optional[Record] = None
        self._step = "preflight"
        self._step_ends = 0.0
        self._verified = False
        self._terminated = False

    def run(self, recovered: Optional[Record]) -> Record:
        """Carry the run to its end, whatever happens to worker, portal or server; its result."""
        since = time.monotonic()
        recorder = self._recorder(self.stream.record, self._last_seq())
        recorder.record("run", {"plan": plan_summary(self.plan), "recovered": recovered})
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        from_worker = self._start_worker(recorder, since)
        cause = self._watch(from_worker, wake_read, since + self.plan["deadline"])
        self._end_worker(from_worker)
        cause["proof"] = sweep(self.plan["deployment"], self.tree.root)
        self._hear(from_worker)
        return self._settle(cause)

    def _end_worker(self, from_worker: int) -> None:
        """It gets a moment to hand over the lines it holds."""
        try:
            os.kill(self._worker, signal.SIGUSR2)
        except OSError:
            pass
        ends, gone = time.monotonic() + LAST_WORDS, False
        while not gone and select.select([from_worker], [], [], max(0.0, ends - time.monotonic()))[0]:
            gone = self._hear(from_worker)
        kill_and_reap(self._worker)

    def _recorder(self, emit: Callable[[Record], None], seq: int) -> Recorder:
        state = {"deployment": self.plan["deployment"], "fence": self.plan["fence"], "seq": seq}
        return Recorder(self.journal, emit, Masker(self.tree), state)

    def _last_seq(self) -> int:
        records = self.journal.of(self.plan["deployment"])
        return int(records[-1]["seq"]) if records else 0

    def _on_term(self, *_: Any) -> None:
        self._terminated = True

    def _start_worker(self, recorder: Recorder, since: float) -> int:
        read_end, write_end = os.pipe()
        life_read, life_write = os.pipe()
        self._worker = os.fork()
        if self._worker == 0:
            os.close(read_end)
            os.close(life_write)
            Worker(self.tree, self.plan, self.journal, self.frames, write_end, life_read).main(recorder, since)
        os.close(write_end)
        os.close(life_read)
        self._life = life_write  # never written to: its closing is the news
        os.set_blocking(read_end, False)
        self.lock.note_worker(self._worker)
        return read_end

    def _watch(self, from_worker: int, wake: int, run_ends: float) -> Record:
        """Until the worker has ended, or must end: why the run is over."""
        while True:
            ends = min(run_ends, self._step_ends or run_ends)
            wait = min(max(0.0, ends - time.monotonic()), ALIVE_EVERY)
            writers = [self.stream.fd] if self.stream.waiting else []
            ready, _, _ = select.select([from_worker, wake], writers, [], wait)
            self.stream.tick()
            if from_worker in ready and self._hear(from_worker):
                return self._ended()
            if self._terminated:
                return self._termination()
            if time.monotonic() >= ends:
                limit = self.plan["deadlines"].get(self._step)
                within = limit if limit and self._step_ends <= run_ends else self.plan["deadline"]
                sentence = "The step %s did not end within %g s." % (self._step, within)
                return {"reason": "deadline", "sentence": sentence, "step": self._step}

    def _hear(self, fd: int) -> bool:
        """Take what the worker said; True when it will say no more."""
        while True:
            try:
                block = os.read(fd, 1 << 16)
            except BlockingIOError:
                return False
            if not block:
                return True
            *lines, self._heard = (self._heard + block).split(b"\n")
            for line in lines:
                self._take(line)

    def _take(self, line: bytes) -> None:
        record = json.loads(line)
        if record["kind"] == "outcome":
            self._outcome = record
            return
        if record["kind"] == "step" and record["state"] == "begin":
            self._step = record["step"]
            limit = self.plan["deadlines"].get(self._step)
            self._step_ends = time.monotonic() + limit if limit else 0.0
        self.stream.put(line + b"\n", record["kind"] == "log")

    def _ended(self) -> Record:
        if self._outcome is None:
            return {**DIED, "step": self._step}
        return self._outcome

    def _termination(self) -> Record:
        request = read_json(self.tree.cancel, {})
        if request.get("why") == "cancel":
            sentence = "The deployment was cancelled during the step %s." % self._step
            return {"reason": "cancelled", "sentence": sentence, "status": "cancelled", "step": self._step}
        if request.get("why") == "takeover":
            sentence = "Deployment %s took over during the step %s." % (request.get("by"), self._step)
            return {"reason": "taken_over", "sentence": sentence, "status": "cancelled", "step": self._step}
        sentence = "The agent was told to end during the step %s, as when a server shuts down." % self._step
        return {"reason": "terminated", "sentence": sentence, "step": self._step}

    def _settle(self, cause: Record) -> Record:
        held: List[Record] = []

        def emit(record: Record) -> None:
            # the lock is free before anybody hears that the run is over
            if record["kind"] == "result":
                held.append(record)
            else:
                self.stream.record(record)

        try:
            result = settle_last(self.tree, self.journal, emit, self.stream.tick, cause)
        except Exception as error:  # noqa: BLE001 - half undone is not failed: a person has to look
            sentence = "%s Undoing it broke off (%r); let the portal recover this server." % (cause["sentence"], error)
            return outcome("interrupted", "revert_failed", sentence, cause=cause["reason"])
        unlink(self.tree.cancel)
        if result is None:  # the worker had to settle already
            state = self.journal.last_run()
            result = (state.result if state else None) or {"kind": "result", "seq": 0, "status": "interrupted", **DIED}
        return result
