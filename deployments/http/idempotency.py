"""`Idempotency-Key`: asking twice does one thing.

A key is kept for a day, in a file per token and key. Its lock makes simultaneous requests wait for the first one. The
file is begun before anything is done and completed after; when a process died in between, `recover` is asked what the
first request left behind, so that even then nothing is done twice.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest

from deployments.http.auth import token_of
from engine.errors import Conflict, InvalidRequest

HEADER = "Idempotency-Key"
KEPT_SECONDS = 86400
_LONGEST = 200
M = TypeVar("M", bound=Model)


def once(
    request: HttpRequest,
    asked: dict[str, Any],
    *,
    do: Callable[[], M],
    recover: Callable[[float], M | None],
    load: Callable[[int], M],
) -> M:
    """Run `do`, or return what it made when this key was used before.

    `asked` is the request in comparable form: the same key with another request raises Conflict. `recover` gets the
    time (Unix seconds) at which an unfinished first request began. `load` reads a row by its number.
    """
    key = request.headers.get(HEADER, "")
    if not key:
        return do()
    if len(key) > _LONGEST or not key.isascii() or not key.isprintable():
        raise InvalidRequest(f"{HEADER} may have {_LONGEST} printable ASCII characters.", hint="Use a UUID.")
    with _record(token_of(request).pk, key) as file:
        return _answered(
            file, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest(), do, recover, load
        )


def _answered(
    file: IO[str], digest: str, do: Callable[[], M], recover: Callable[[float], M | None], load: Callable[[int], M]
) -> M:
    known = _read(file)
    if known is None:
        _write(file, {"request": digest, "began": time.time()})
        try:
            made = do()
        except BaseException:
            file.truncate(0)  # refused: nothing was done, and asking again is a new question
            raise
    elif known["request"] != digest:
        raise Conflict(
            f"This {HEADER} was used for another request.", hint="Use a new key.", reason="idempotency_key_reused"
        )
    elif "made" in known:
        return load(known["made"])
    else:
        made = recover(known["began"]) or do()
    _write(file, {"request": digest, "began": time.time(), "made": made.pk})
    return made


def _record(token: int, key: str) -> IO[str]:
    """The key's file, locked until it is closed."""
    directory: Path = settings.STATE_DIR / "idempotency"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _forget_old(directory)
    path = directory / hashlib.sha256(f"{token}:{key}".encode()).hexdigest()
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return file
        file.close()  # it was forgotten while we waited


def _read(file: IO[str]) -> dict[str, Any] | None:
    try:
        known = json.loads(file.read() or "null")
    except ValueError:
        return None  # cut off while it was first written: nothing had been done yet
    return known if isinstance(known, dict) else None


def _write(file: IO[str], known: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(known))
    file.flush()
    os.fsync(file.fileno())


def _forget_old(directory: Path) -> None:
    """Remove what is older than a day; looks at the directory once an hour at most."""
    stamp = directory / ".swept"
    now = time.time()
    if stamp.exists() and now - stamp.stat().st_mtime < 3600:
        return
    stamp.touch(mode=0o600)
    for path in directory.iterdir():
        try:
            if path != stamp and now - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
        except FileNotFoundError:
            continue  # another process swept it
