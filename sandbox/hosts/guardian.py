"""The guardian of a set: a process that takes everything down when the process the set belongs to is gone, killed or
not.

It watches the owner through a file descriptor of the process itself (pidfd), which children of the owner cannot keep
open, and has a session of its own, so that Ctrl-C in a terminal does not reach it. It goes when its standard input
ends with the set gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from . import registry
from .processes import ProcessId, output


def start(name: str) -> subprocess.Popen[bytes]:
    """Start the guardian of the set of that name, and return once it watches."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from sandbox.hosts.guardian import main; main()", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
    )
    if output(process).readline() != b"watching\n":
        process.wait()
        raise RuntimeError(f"the guardian of the set {name!r} did not start")
    return process


def dismiss(process: subprocess.Popen[bytes]) -> None:
    """Tell the guardian that its set was taken down, and wait for it to go."""
    process.communicate(timeout=30)


def watch(name: str) -> None:
    """Wait for the owner's end, then demolish. Returns when the set is gone."""
    record = registry.find(name)
    if record is None or not record.owner:
        return
    owner = ProcessId.parse(record.owner)
    try:
        watched = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        registry.demolish(record)
        return
    with contextlib.suppress(BrokenPipeError):  # the owner may be gone by now
        os.write(1, b"watching\n")
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(0, select.POLLIN)
    while owner.alive():
        events = [descriptor for descriptor, _ in poll.poll()]
        if 0 in events:
            if not record.path.exists():
                return
            poll.unregister(0)
    registry.demolish(record)


def main() -> None:
    """What the guardian's process runs; the name of the set is its one argument."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(sys.argv[1])
