"""Whoever waits for a server holds a thread of the web process: only so many do, the others answer everybody else."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deployments.http.limits import TooManyRequests

AT_ONCE = 4
"""Of one process, which has twice as many threads and more (`portal.gunicorn`)."""
TIMEOUT_SECONDS = 1.0
_AGAIN_SECONDS = 5
_TURNS = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def server_slot() -> Iterator[None]:
    """While the block lasts, servers are asked and waited for. Raises TooManyRequests when too many are already."""
    if not _TURNS.acquire(timeout=TIMEOUT_SECONDS):
        raise TooManyRequests(_AGAIN_SECONDS)
    try:
        yield
    finally:
        _TURNS.release()
