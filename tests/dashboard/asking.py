"""What several processes do at once in a test; imports no Django, since each starts from nothing."""

import multiprocessing
import time
from pathlib import Path

from dashboard.health.shared_cache import SharedCache


def ask_for(directory: Path, seconds: float, asked: "multiprocessing.Queue[float]") -> None:
    """Take every turn there is to take for so many seconds."""
    cache = SharedCache(directory)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with cache.refresh_lock("bot", wait=0.05) as turn:
            now = time.monotonic()
            if turn is not None and turn.may_ask(now):
                turn.asking(now)
                asked.put(now)
