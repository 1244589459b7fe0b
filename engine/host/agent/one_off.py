"""One command of the application's, run by root's program as its account: see provision/one_off."""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any, Callable, List, Tuple

from .errors import StepFailed
from .limits import ALIVE_EVERY, LINE_LIMIT, OUTPUT_LIMIT, SUDO, Record
from .processes import Tools
from .tree import Tree
from .units import run_command

ENDING = 20.0  # s for a command that has to end, until root's program says that nothing is left of it


class Spoken:
    """What a program that we started says, as it says it."""

    def __init__(self, process: Any) -> None:
        self._process = process
        self.output = process.stdout.fileno()
        self._rest = b""

    def lines(self) -> Tuple[List[str], bool]:
        """What it has said since, by lines of at most LINE_LIMIT characters; whether it will say more."""
        block = os.read(self.output, 1 << 16)
        *lines, self._rest = (self._rest + block).split(b"\n")
        if self._rest and (not block or len(self._rest) > LINE_LIMIT):
            lines, self._rest = [*lines, self._rest], b""
        pieces = [line[at : at + LINE_LIMIT] for line in lines for at in range(0, len(line) or 1, LINE_LIMIT)]
        return [piece.decode(errors="replace").rstrip("\r") for piece in pieces], bool(block)


class OneOff(Spoken):
    """A command that runs. It ends when we do: root's program waits for the end of what we hold open."""

    def __init__(self, tree: Tree, tools: Tools, request: Record) -> None:
        self.errors = b""
        super().__init__(tools.start([*SUDO, *run_command(os.path.basename(tree.root))], merge=False, feeding=True))
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it was refused, and `told` says why
            pass

    def end(self) -> None:
        """Have it ended; `told` says when nothing of it is left."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:  # it went first, with something of ours unread
            pass

    def ended(self) -> bool:
        """Whether it has: root's program holds the output open until nothing of it is left."""
        return True

    def exchange(self, until: float, take: Callable[[bytes], None], source: int, tick: Callable[[], None]) -> None:
        """Hand over what it prints and give it what is in the file `source` (-1: nothing), till it ends or has to.

        Raises StepFailed when it does not end although it has to.
        """
        feed, errors = self._process.stdin.fileno(), self._process.stderr.fileno()
        os.set_blocking(feed, False)
        pending, speaking = b"", {self.output, errors}
        while speaking:
            if time.monotonic() > until and not self._process.stdin.closed:
                self.end()
                source, pending = -1, b""
            if time.monotonic() > until + ENDING:
                raise StepFailed("command_stuck", "The command does not end; look at the server's processes.")
            ready, writable, _ = select.select(list(speaking), [feed] if source >= 0 else [], [], ALIVE_EVERY)
            tick()
            for fd in ready:
                block = os.read(fd, 1 << 16)
                speaking -= {fd} if not block else set()
                if fd == self.output:
                    take(block)
                else:
                    self.errors = (self.errors + block)[-OUTPUT_LIMIT:]
            if writable:
                pending = pending or os.read(source, 1 << 16)
                try:
                    pending = pending[os.write(feed, pending) :]
                except BrokenPipeError:
                    pending = b""
                source = source if pending or os.lseek(source, 0, os.SEEK_CUR) < os.fstat(source).st_size else -1

    def told(self) -> Tuple[str, int]:
        """How it ended, in root's word for it, and its exit code. Raises StepFailed when root refused it."""
        if not self.errors:
            if not select.select([self._process.stderr], [], [], ENDING)[0]:
                raise StepFailed("command_stuck", "The command does not end; look at the server's processes.")
            self.errors = self._process.stderr.read(1 << 16)
        said = self.errors.decode(errors="replace").strip()
        self._process.wait()
        self.end()
        self._process.stdout.close()
        self._process.stderr.close()
        result, code, sentence = _last_word(said)
        if result == "refused":
            hint = " Run provision for this server." if "password" in sentence else ""
            raise StepFailed("command_refused", "It was not run: %s.%s" % (sentence.rstrip("."), hint))
        return result, code


def _last_word(said: str) -> Tuple[str, int, str]:
    """What root's program says last: result, exit code, and why it refused; anything else than that is a refusal."""
    try:
        told: Any = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError, RecursionError):
        told = None
    if isinstance(told, dict) and isinstance(told.get("result"), str):
        result, code, sentence = told["result"], told.get("code"), told.get("sentence")
        if result == "refused" and isinstance(sentence, str):
            return result, 1, sentence
        if result != "refused" and type(code) is int:
            return result, code, ""
    return "refused", 1, said[-500:] or "Root's program ended without a word."


def said_of(result: str, code: int, seconds: float) -> str:
    """How a command ended, as a sentence's end."""
    if result in ("timeout", "ended"):
        return "did not end within %g s and was ended" % seconds
    if result == "not_started":
        return "could not be started"
    if result == "oom-kill":
        return "was killed: it took more memory than its unit may have"
    return "was ended by signal %d" % (code - 128) if code > 128 else "ended with %d" % code


def asked_of(role: str, unit: str, directory: str, argv: List[str], seconds: float) -> Record:
    """The request that root's program reads."""
    return {"argv": argv, "unit": unit, "role": role, "directory": directory, "seconds": seconds}
