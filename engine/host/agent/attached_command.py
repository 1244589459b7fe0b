"""One command in the live release, for as long as the portal listens."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from typing import Any

from .errors import Refused, StepFailed
from .limits import ALIVE_EVERY, COMMAND_LINES, LISTENER_TIMEOUT, LOCK_TIMEOUT, OUTPUT_LIMIT, Record
from .lock import Lock, describe_owner
from .one_off import OneOff, asked_of, said_of
from .processes import Tools
from .recorder import Masker, outcome
from .request import check_roles, need
from .tree import Tree
from .unit_operations import must_run
from .wire import Frames, Stream


def verb_command(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Run one command in the live release, for as long as the portal listens. Raises Refused."""
    request = frames.request()
    check_roles(request["roles"])
    units = [unit for role in request["roles"] for unit in role["units"]]
    argv = request["argv"]
    need(argv and all(isinstance(word, str) and "\0" not in word for word in argv), "there is no command")
    need(not request["unit"] or request["unit"] in units, "the unit is none of the release's")
    lock = Lock(tree)
    if not lock.acquire(LOCK_TIMEOUT):
        raise Refused("host_locked", describe_owner(lock.owner()) + "; try again when it has ended.")
    try:
        lock.own_briefly("A command", yields=False)
        must_run(tree, request["release"])
        return _Listened(tree, request, stream).run()
    except StepFailed as error:
        return outcome("failed", error.reason, str(error), **error.facts)
    finally:
        lock.release()


class _Listened:
    """Passes lines on, no faster than they are taken and no more than OUTPUT_LIMIT allows, while somebody listens."""

    def __init__(self, tree: Tree, request: Record, stream: Stream) -> None:
        self._request = request
        self._stream = stream
        self._masker = Masker(tree)
        self._left = OUTPUT_LIMIT
        self._told_to_end = False
        signal.signal(signal.SIGTERM, self._on_term)  # a rollback does not wait for a command
        role = next((r["role"] for r in request["roles"] if request["unit"] in r["units"]), request["roles"][0]["role"])
        asked = asked_of(role, request["unit"], "current", request["argv"], request["seconds"])
        self._command = OneOff(tree, Tools("command", tree.root), asked)

    def _on_term(self, *_: Any) -> None:
        self._told_to_end = True

    def run(self) -> Record:
        """Until it has ended, or must end."""
        begun = time.monotonic()
        why = self._listen()
        if why:
            self._command.end()
        result, code = self._command.told()
        facts = {"exit": code, "result": result, "seconds": round(time.monotonic() - begun, 2)}
        if why:
            return outcome("failed", "ended", "%s The command was ended, and nothing of it is left." % why, **facts)
        sentence = "The command %s." % said_of(result, code, self._request["seconds"])
        return outcome("succeeded" if code == 0 else "failed", result, sentence, **facts)

    def _listen(self) -> str:
        heard = time.monotonic()
        while True:
            if self._told_to_end:
                return "A deployment took over."
            if time.monotonic() - heard > LISTENER_TIMEOUT:
                return "Nobody was heard of any more."
            waiting = [self._stream.fd] if self._stream.waiting else []
            sources = [0] if self._stream.crowded else [0, self._command.output]
            ready, _, _ = select.select(sources, waiting, [], ALIVE_EVERY / 3)
            self._stream.tick()
            if 0 in ready:
                if not listens():
                    return "Nobody listens any more."
                heard = time.monotonic()
            if self._command.output in ready:
                lines, more = self._command.lines()
                for line in lines:
                    self._tell(line)
                if not more:
                    return ""

    def _tell(self, line: str) -> None:
        if self._left < 0:
            return
        self._left -= max(len(line), OUTPUT_LIMIT // COMMAND_LINES)
        text = self._masker.text(line) if self._left >= 0 else "(what it printed further is left out)"
        self._stream.put(json.dumps({"kind": "log", "text": text}, separators=(",", ":")).encode() + b"\n")


def listens() -> bool:
    """Whether the portal is still there: it says so again and again on our standard input."""
    try:
        return bool(os.read(0, 4096))
    except BlockingIOError:
        return True
    except OSError:
        return False
