"""Waiting for the database: what a worker has learnt from a server must not be lost because PostgreSQL restarts."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0
"""How long a worker waits for a database that is away; afterwards its lease has run out and the reaper goes on."""
AWAY = (OperationalError, InterfaceError)
"""What Django raises while the database cannot be reached, or stays locked beyond its timeout."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


def retry(work: Callable[[], T], *, seconds: float = TIMEOUT_SECONDS) -> T:
    """`work()`, again and again while the database is away, for `seconds` at most; then its error passes.

    `work` has to be safe to repeat: a connection may die after the commit and before we hear of it. Inside a
    transaction of the caller it is called once, since only the caller can repeat that.
    """
    ends = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return work()
        except AWAY as error:
            if connection.in_atomic_block or time.monotonic() + pause > ends:
                raise
            logger.warning("the database does not answer (%s), trying again", error)
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
