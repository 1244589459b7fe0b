"""How often a caller may ask: counters that every web process of the machine shares.

One file of fixed buckets, each locked by itself while it is read and written: no database write per request. A bucket
keeps eight counts, and a ninth key takes the place of the lowest: that lets a few requests more through, never refuses
one wrongly, and pushes no high count out. Which keys share a bucket is known to nobody without our secret.

That protects each machine. What keeps people from guessing is one number for all machines of a portal, in the database
that they share: of what a machine lets through by its own count, and of nothing else, so that a flood writes little.
"""

import fcntl
import hashlib
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.utils import timezone
from ninja.throttling import BaseThrottle

from deployments.models import ApiToken, RequestCount
from engine.errors import PortalError

WINDOW_SECONDS = 60
_SLOT = struct.Struct("<QQQ")  # key, window, count
_WAYS = 8
_BUCKETS = 4096
_BUCKET_BYTES = _WAYS * _SLOT.size
_MEMORY = bytearray(_BUCKETS * _BUCKET_BYTES)
"""For while the file cannot be written: each process then counts for itself."""
_COUNT = """
    INSERT INTO deployments_requestcount AS known (key, minute, count) VALUES (%s, %s, 1)
    ON CONFLICT (key) DO UPDATE SET minute = EXCLUDED.minute,
        count = CASE WHEN known.minute = EXCLUDED.minute THEN known.count + 1 ELSE 1 END
    RETURNING count
"""
_THREADS = threading.Lock()  # record locks belong to the process, so its threads take turns here


class TooManyRequests(PortalError):
    """The caller has used up its requests of this minute."""

    reason = "too_many_requests"
    http_status = 429
    permanent = False

    def __init__(self, wait: int) -> None:
        super().__init__("Too many requests.", hint=f"Try again in {wait} s.")
        self.wait = wait


@dataclass(frozen=True)
class Counter:
    """A file of counters."""

    path: Path

    def count(self, key: str, now: float | None = None) -> int:
        """Add one to `key` and return how many it has had in this minute."""
        number = int.from_bytes(_digest(key)[:8], "little")
        window = int((time.time() if now is None else now) // WINDOW_SECONDS)
        offset = (number % _BUCKETS) * _BUCKET_BYTES
        with _THREADS:
            try:
                return self._shared(number, window, offset)
            except OSError:  # a full disk, or one that is read-only now
                return _counted(_MEMORY, number, window, offset)

    def _shared(self, number: int, window: int, offset: int) -> int:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX, _BUCKET_BYTES, offset)
            bucket = bytearray(os.pread(handle, _BUCKET_BYTES, offset).ljust(_BUCKET_BYTES, b"\0"))
            count = _counted(bucket, number, window, 0)
            os.pwrite(handle, bucket, offset)
        finally:
            os.close(handle)
        return count


def _counted(buckets: bytearray, number: int, window: int, offset: int) -> int:
    """Add one to the count of `number` in the bucket at `offset`, and return it."""
    slots = list(_SLOT.iter_unpack(memoryview(buckets)[offset : offset + _BUCKET_BYTES]))
    counts = [count if at == window else 0 for _, at, count in slots]
    keys = [key for key, _, _ in slots]
    way = keys.index(number) if number in keys else counts.index(min(counts))
    count = counts[way] + 1 if keys[way] == number else 1
    _SLOT.pack_into(buckets, offset + way * _SLOT.size, number, window, count)
    return int(count)


def _digest(key: str) -> bytes:
    secret = hashlib.sha256(settings.SECRET_KEY.encode()).digest()
    return hashlib.blake2b(key.encode(), digest_size=16, key=secret).digest()


def within(key: str, allowed: int, *, everywhere: bool = False) -> bool:
    """Count one request of `key`, and tell whether it is one of the `allowed` of this minute.

    On this machine; with `everywhere` on all machines of the portal together.
    """
    if Counter(settings.STATE_DIR / "limits.bin").count(key) > allowed:
        return False
    return not everywhere or _of_all_machines(key) <= allowed


def _of_all_machines(key: str) -> int:
    """The count of `key` in the database; 0 where one machine is all there is, or none can be asked."""
    if connection.vendor != "postgresql":
        return 0
    minute = int(timezone.now().timestamp() // WINDOW_SECONDS)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [_digest(key).hex(), minute])
            return int(cursor.fetchone()[0])
    except DatabaseError:  # whoever is refused nothing here is refused by what needs the database
        return 0


def forget_old() -> None:
    """Delete the counts of minutes that are over."""
    minute = int(timezone.now().timestamp() // WINDOW_SECONDS)
    RequestCount.objects.filter(minute__lt=minute - 1).delete()


def pause() -> int:
    """Seconds until the next minute."""
    return int(WINDOW_SECONDS - time.time() % WINDOW_SECONDS) + 1


def spend(key: str, allowed: int) -> None:
    """Count one request of `key` on all machines together; raises TooManyRequests beyond `allowed` a minute."""
    if not within(key, allowed, everywhere=True):
        raise TooManyRequests(pause())


class TokenRate(BaseThrottle):
    """So many requests a minute for each token, as ninja asks for it."""

    def __init__(self, name: str, allowed: int) -> None:
        self.name = name
        self.allowed = allowed

    def allow_request(self, request: HttpRequest) -> bool:
        """Count the request."""
        token: ApiToken = request.auth  # type: ignore[attr-defined]  # ninja sets it before it throttles
        return within(f"{self.name}:{token.pk}", self.allowed)

    def wait(self) -> float:
        """Seconds until the next minute."""
        return pause()


# A minute's requests. A bot beats at most once a second; a person's program reads more than it writes.
READS = TokenRate("read", 600)
WRITES = TokenRate("write", 60)
BEATS = TokenRate("beat", 120)
STRANGERS = 300  # of all callers without a valid token together: guessing is slow, and no real caller is held up
EXCHANGES = 30  # of workflows' identities, from one address; who floods must not keep others from theirs
ALL_EXCHANGES = 1200
