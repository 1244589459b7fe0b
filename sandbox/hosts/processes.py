"""Programs run on this machine, and processes told apart for good.

A process id alone is not an identity: the kernel gives it to somebody else later. With the start time it is one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, AnyStr

from .errors import CommandFailed, DeadlinePassed

START_TIME_FIELD = 19
"""Index of `starttime` among the fields of /proc/PID/stat that follow the program's name (proc(5), field 22)."""


@dataclass(frozen=True)
class ProcessId:
    """One process, from its start to its end."""

    pid: int
    started: int
    """Kernel ticks between the machine's boot and the start of this process."""

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process that has this id now, or None when none does (a zombie is none)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat[stat.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[START_TIME_FIELD]))

    @classmethod
    def self(cls) -> ProcessId:
        """This very process."""
        me = cls.of(os.getpid())
        if me is None:
            raise ProcessLookupError("this process is not in /proc")
        return me

    @classmethod
    def parse(cls, text: str) -> ProcessId:
        """The inverse of `str()`."""
        pid, started = text.split()
        return cls(int(pid), int(started))

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    def alive(self) -> bool:
        """Whether it still runs."""
        return ProcessId.of(self.pid) == self

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, unless it has gone."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def output(process: subprocess.Popen[AnyStr]) -> IO[AnyStr]:
    """What a process writes that was started with a pipe as its standard output."""
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    return process.stdout


def run(
    argv: Sequence[str],
    *,
    input: bytes = b"",
    check: bool = True,
    deadline: float = 60.0,
    where: str = "on this machine",
    named: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, at most `deadline` seconds; errors call it `named`, or else what argv begins with.

    Raises CommandFailed on another exit code than 0 (with `check`), DeadlinePassed when it takes longer.
    """
    try:
        done = subprocess.run(list(argv), input=input, capture_output=True, timeout=deadline, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeadlinePassed(
            f"`{named or argv[0]}` {where} had not ended after {deadline:g} s and was killed."
        ) from error
    except FileNotFoundError as error:
        raise CommandFailed(argv, 127, b"", b"no such program", where=where) from error
    if check and done.returncode != 0:
        raise CommandFailed([named or argv[0], *argv[1:]], done.returncode, done.stdout, done.stderr, where=where)
    return done


def wait_until(condition: Callable[[], bool], *, deadline: float, what: str, pause: float = 0.01) -> None:
    """Ask until the condition holds, at most `deadline` seconds; `what` ends the sentence of DeadlinePassed."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() >= end:
            raise DeadlinePassed(f"Waited {deadline:g} s {what}.")
        time.sleep(pause)
