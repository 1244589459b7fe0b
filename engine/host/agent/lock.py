"""One run at a time: the lock, its owner, and how a newer attempt takes it over."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from typing import Optional, Tuple

from .errors import Refused
from .files import canonical, now_iso, read_json, unlink, write_atomic
from .limits import CANCEL_TIMEOUT, LOCK_TIMEOUT, REVERT_TIMEOUT, Record
from .processes import process_start, same_process, sweep
from .tree import Tree
from .wire import Stream


class Lock:
    """flock on .deploy/lock: held by supervisor and worker together, so it is free exactly when both have ended."""

    def __init__(self, tree: Tree) -> None:
        self._path = tree.lock
        self.fd = -1

    def acquire(self, timeout: float) -> bool:
        """Take it, waiting `timeout` seconds at most; False when somebody else holds it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        ends = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= ends:
                    os.close(fd)
                    return False
                time.sleep(0.01)
            else:
                self.fd = fd
                return True

    def own(self, deployment: str, fence: int, deadline: float) -> None:
        """Say who holds it. `deadline` in seconds from now: when the run is over at the latest."""
        self._write(
            {
                "deployment": deployment,
                "fence": fence,
                "pid": os.getpid(),
                "started": process_start(os.getpid()),
                "since": now_iso(),
                "lease_until": time.time() + deadline,
            }
        )

    def own_briefly(self, what: str, *, yields: bool = True) -> None:
        """Say that no deployment holds it but a person's errand, as in "A restart"; where it yields a run ends it."""
        mark = what.split()[-1]
        mine = {"pid": os.getpid(), "started": process_start(os.getpid())}
        self._write({"deployment": mark, "errand": what, "yields": yields, **mine})

    def note_worker(self, pid: int) -> None:
        """Say which child works for the owner, so that both can be ended."""
        owner = self.owner()
        owner.update(worker=pid, worker_started=process_start(pid))
        self._write(owner)

    def _write(self, owner: Record) -> None:
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, canonical(owner), 0)

    def owner(self) -> Record:
        """What the last owner said of itself; it may have ended since."""
        owner = read_json(self._path, {})
        return owner if isinstance(owner, dict) else {}

    def held(self) -> bool:
        """Whether somebody has it, without taking it for longer than the question."""
        if not os.path.exists(self._path):
            return False
        if self.acquire(0):
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let go; what was said of the owner stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def describe_owner(owner: Record) -> str:
    """The first half of a sentence about a lock that somebody holds."""
    if owner.get("errand"):
        return "%s is under way on this server" % owner["errand"]
    return "Deployment %s has been running on this server since %s" % (
        owner.get("deployment", "(unknown)"),
        owner.get("since", "(unknown)"),
    )


def take_lock(tree: Tree, request: Record, stream: Stream, takeover: bool) -> Tuple[Lock, Optional[Record]]:
    """The lock, with the fence noted; what had to be ended for it. Raises Refused."""
    lock = Lock(tree)
    deployment, fence = request["deployment"], request["fence"]
    seen, _ = tree.highest_fence()
    if fence >= seen and lock.acquire(LOCK_TIMEOUT):
        tree.raise_fence(fence, deployment)
        return lock, None
    owner = lock.owner()
    if fence >= seen and not takeover and not owner.get("yields"):
        raise Refused("host_locked", describe_owner(owner) + "; wait for it or cancel it.", owner=owner)
    tree.raise_fence(fence, deployment)
    return lock, end_owner(tree, lock, {"why": "takeover", "by": deployment}, stream)


def end_owner(tree: Tree, lock: Lock, why: Record, stream: Stream) -> Record:
    """End the run that holds the lock and take it: asked first, killed when it does not react. Raises Refused."""
    asked: Record = {}
    owner: Record = {}
    ends = time.monotonic() + REVERT_TIMEOUT + CANCEL_TIMEOUT
    killed = False
    while not lock.acquire(0.2):
        stream.tick()
        owner = lock.owner() or owner
        if not same_process(owner.get("pid"), owner.get("started")):
            if time.monotonic() > ends:
                raise Refused("host_locked", describe_owner(owner) + ", and its agent cannot be ended.", owner=owner)
            continue
        if asked != owner:
            write_atomic(tree.cancel, canonical(why))
            os.kill(owner["pid"], signal.SIGTERM)
            asked = owner
        if time.monotonic() > ends and not killed:
            killed = True
            for who in ("pid", "worker"):
                started = owner.get("started" if who == "pid" else "worker_started")
                if same_process(owner.get(who), started):
                    os.kill(owner[who], signal.SIGKILL)
            ends += 10
    unlink(tree.cancel)
    proof = sweep(str(owner.get("deployment", "")), tree.root)
    return {"deployment": owner.get("deployment"), "killed": killed, **proof}
