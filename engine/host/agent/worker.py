"""The child that does the steps."""

from __future__ import annotations

import json
import os
import signal
from typing import Any, NoReturn

from .errors import LastWords, SupervisorGone, as_failure
from .files import write_all
from .journal import Journal
from .limits import Record
from .recorder import Recorder
from .run import carry_out
from .settle import DIED, settle_last
from .steps.work import Work
from .tree import Tree
from .wire import Frames


class Worker:
    """The child that does the steps. When its parent dies it restores what it began."""

    def __init__(self, tree: Tree, plan: Record, journal: Journal, frames: Frames, pipe: int, life: int) -> None:
        self.tree = tree
        self.plan = plan
        self.journal = journal
        self.frames = frames
        self._pipe = pipe
        self._life = life

    def main(self, recorder: Recorder, since: float) -> NoReturn:
        """All steps, then end the process; without a parent, undo and end it."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGUSR1, self._on_parent_gone)
            signal.signal(signal.SIGUSR2, self._on_last_words)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 1)  # what the portal reads is the supervisor's alone: it ends when that one ends
            os.dup2(nothing, 2)
            self._watch_parent()
            mine = {"deployment": recorder.deployment, "fence": recorder.fence, "seq": recorder.seq}
            recorder = Recorder(self.journal, self._tell, recorder.masker, mine)
            self._tell(self._outcome(recorder, since))
        except LastWords:
            recorder.flush()
        except SupervisorGone:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            self._settle_alone()
        finally:
            os._exit(0)

    def _outcome(self, recorder: Recorder, since: float) -> Record:
        try:
            carry_out(Work(self.tree, self.plan, recorder, self.frames, since))
        except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor must hear a reason and undo the rest
            failure = as_failure(error, "run")
            return {"kind": "outcome", "reason": failure.reason, "sentence": str(failure), "facts": failure.facts}
        return {"kind": "outcome", "reason": "verified", "sentence": ""}

    def _tell(self, record: Record) -> None:
        try:
            write_all(self._pipe, json.dumps(record, separators=(",", ":")).encode() + b"\n")
        except OSError:  # the supervisor is gone; the watch below says so in a moment
            pass

    def _on_parent_gone(self, *_: Any) -> None:
        raise SupervisorGone

    def _on_last_words(self, *_: Any) -> None:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        raise LastWords

    def _watch_parent(self) -> None:
        import _thread

        def wait() -> None:
            os.read(self._life, 1)
            os.kill(os.getpid(), signal.SIGUSR1)

        _thread.start_new_thread(wait, ())

    def _settle_alone(self) -> None:
        settle_last(self.tree, self.journal, lambda record: None, lambda: None, DIED)
