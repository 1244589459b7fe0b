"""Whose turn it is among the rescue workers, so that no environment's trouble holds up another one's way back.

A server that only says that it lives holds whoever talks to it for minutes. So the last workers are kept for protected
environments that have none yet, and one deployment has at most one worker for each kind of work. A turn is a locked
file: the kernel gives it back when its process dies, however it dies. Who is turned away leaves; the reaper
calls again.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from django.conf import settings

from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment

WORKERS = cast("dict[str, dict[str, int]]", settings.Q_CLUSTER["ALT_CLUSTERS"])["rescue"]["workers"]
EXECUTION, CANCELLATION, SETTLING = "execution", "cancellation", "settling"
"""What is done for a deployment."""
TURNED_AWAY = "others' turn; the reaper calls again"


@contextlib.contextmanager
def turn(deployment_id: int, work: str) -> Iterator[bool]:
    """Whether this process may do this work now; while the block lasts it counts as one of the workers.

    An execution that is no rollback is not done by these workers, and may always.
    """
    deployment = Deployment.objects.select_related("environment").filter(pk=deployment_id).first()
    if deployment is None or (work == EXECUTION and deployment.kind != Kind.ROLLBACK):
        yield True
        return
    path = _room() / f"{deployment.environment_id}.{deployment_id}.{work}"
    with _gate():
        lock = _take(path, deployment.environment_id)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            with _gate():
                path.unlink(missing_ok=True)
                os.close(lock)


def _take(path: Path, environment: int) -> int | None:
    """Behind the gate: the lock of a turn, or None when it is not ours to have."""
    busy = [int(held.name.split(".")[0]) for held in _held()]
    if path.exists():
        return None
    protected = {home.pk for home in Environment.objects.all() if home.protected}
    kept = 0 if environment in protected - {*busy} else min(len(protected - {*busy, environment}), WORKERS - 1)
    if WORKERS - len(busy) - 1 < kept:
        return None
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _held() -> list[Path]:
    """The turns that a living process has; what dead ones left goes."""
    held = []
    for path in _room().glob("*.*.*"):
        probe = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            held.append(path)
        finally:
            os.close(probe)
    return held


@contextlib.contextmanager
def _gate() -> Iterator[None]:
    """One process at a time looks and takes."""
    gate = os.open(_room() / "gate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
    finally:
        os.close(gate)


def _room() -> Path:
    room: Path = settings.STATE_DIR / "rescue"
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    return room
