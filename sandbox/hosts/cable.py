"""The network cable of one host, with the latency, loss and rate it is told to have. See cable.c for how it works."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from . import store
from .errors import CommandFailed, ImageFailed
from .processes import ProcessId, output, run, wait_until

FORMAT = struct.Struct("=qqqq")


@dataclass(frozen=True)
class LinkProfile:
    """What the cable does to frames."""

    delay_us: int = 0
    """Microseconds each way: half of the round trip."""
    loss_ppm: int = 0
    """Lost frames per million, each way."""
    rate_kbit: int = 0
    """Kilobits per second, each way; 0 for no limit."""
    plugged: bool = True
    """Whether the cable is in at all."""

    def with_latency(self, ms_rtt: float) -> LinkProfile:
        """Milliseconds there and back together."""
        return replace(self, delay_us=round(_at_least_zero(ms_rtt, "latency") * 500))

    def with_loss(self, percent: float) -> LinkProfile:
        """Percent of the frames, each way; 100 is a black hole."""
        if not 0 <= percent <= 100:
            raise ValueError(f"loss is a percentage, 0 to 100, not {percent:g}")
        return replace(self, loss_ppm=round(percent * 10_000))

    def with_rate(self, kbit: float) -> LinkProfile:
        """Kilobits per second, each way; 0 for no limit."""
        return replace(self, rate_kbit=round(_at_least_zero(kbit, "rate")))

    def __str__(self) -> str:
        """For people."""
        rate = f"{self.rate_kbit} kbit/s" if self.rate_kbit else "no rate limit"
        out = "" if self.plugged else "  cable out"
        return f"{self.delay_us / 500:g} ms  {self.loss_ppm / 10_000:g} % lost  {rate}{out}"


def _at_least_zero(value: float, what: str) -> float:
    if value < 0:
        raise ValueError(f"{what} cannot be negative, and {value:g} is")
    return value


def ensure_program() -> Path:
    """The compiled cable, compiled at first use. Raises ImageFailed."""
    program = store.cable_program()
    if program.exists():
        return program
    with store.locked():
        fresh = program.with_name(f".cable-{os.getpid()}")
        try:
            run(["gcc", "-O2", "-Wall", "-o", str(fresh), str(store.CABLE_SOURCE)])
        except CommandFailed as error:
            raise ImageFailed(
                "The cable program did not compile.", hint=error.stderr.decode(errors="replace")
            ) from error
        fresh.rename(program)
    return program


class Cable:
    """A running cable, known by the state file and the process id beside it."""

    def __init__(self, directory: Path) -> None:
        self._state = directory / "cable.state"
        self._process = directory / "cable.process"
        self._log = directory / "cable.log"

    def start(self, tap: str, groups: Sequence[Path]) -> int:
        """Lay the cable, and return the id of its process, in whose network namespace the far end is.

        It has the profile that the last one had. Raises CommandFailed, ImageFailed.
        """
        if not self._state.exists():
            self._state.write_bytes(FORMAT.pack(*astuple(LinkProfile())))
        argv = [str(ensure_program()), tap, str(self._state), *(str(group / "cgroup.procs") for group in groups)]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        with output(process) as words:
            if words.readline() != b"ready\n":
                raise CommandFailed(argv, process.wait(), b"", self._log.read_bytes(), where="on this machine")
        identity = ProcessId.of(process.pid)
        if identity is None:
            raise CommandFailed(argv, process.wait(), b"", b"it ended at once", where="on this machine")
        self._process.write_text(str(identity))
        threading.Thread(target=process.wait, daemon=True, name=f"reaper of {tap}").start()
        return process.pid

    def running(self) -> ProcessId | None:
        """The cable's process, while it lives."""
        with contextlib.suppress(FileNotFoundError):
            identity = ProcessId.parse(self._process.read_text())
            if identity.alive():
                return identity
        return None

    def cut(self) -> None:
        """End it, and with it the host's network: not even the kernel answers for the host any more."""
        process = self.running()
        if process is not None:
            process.kill()
            wait_until(lambda: not process.alive(), deadline=10, what="for a network cable to go away")

    @property
    def profile(self) -> LinkProfile:
        """What it does to frames now."""
        delay_us, loss_ppm, rate_kbit, plugged = FORMAT.unpack(self._state.read_bytes())
        return LinkProfile(delay_us, loss_ppm, rate_kbit, bool(plugged))

    @profile.setter
    def profile(self, profile: LinkProfile) -> None:
        """Holds for the very next frame. Written in place: the cable has the file mapped."""
        with self._state.open("r+b") as file:
            file.write(FORMAT.pack(*astuple(profile)))
