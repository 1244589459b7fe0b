"""Watching the command lines of every process of this machine, as any user of a runner could."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

EVERY_SECONDS = 0.02


@contextlib.contextmanager
def command_lines() -> Iterator[set[str]]:
    """A set that fills with what is seen."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY_SECONDS):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
