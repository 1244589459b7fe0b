"""One at a time, among all processes that share the database: held by who works, let go with whoever dies."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection


@contextmanager
def exclusively(name: str) -> Iterator[None]:
    """Wait until nobody else is at `name`, and keep others from it.

    For moments: on PostgreSQL it is a lock of the session, which ends with its connection; else the processes are one
    machine's, and it is one of 256 files, which names share, so whoever holds one for long holds others up.
    """
    digest = hashlib.sha256(name.encode()).digest()
    with _in_postgresql(digest) if connection.vendor == "postgresql" else _in_file(digest):
        yield


@contextmanager
def _in_postgresql(digest: bytes) -> Iterator[None]:
    number = int.from_bytes(digest[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [number])
    try:
        yield
    finally:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
        except DatabaseError:
            connection.close()  # the lock goes with it


@contextmanager
def _in_file(digest: bytes) -> Iterator[None]:
    directory: Path = settings.STATE_DIR / "locks"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(directory / digest[:1].hex(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
