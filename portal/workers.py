"""The three clusters as one service: `python -m portal.workers`, which systemd/cytube-worker.service starts.

A cluster that ends is started again. systemd's watchdog is fed while every cluster proves, by its heartbeat task once a
minute, that it still takes tasks: one whose idle workers were killed looks alive and never works again (measured,
docs/decisions/0003-queue.md). Then systemd restarts all three, and the reaper settles what was running.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

from portal import first_start
from portal.environment import BASE_DIR
from portal.run import CLUSTERS, Child, die_with_parent

FRESH = timedelta(seconds=150)
"""Heartbeat tasks run every minute; two may be late."""
GRACE_SECONDS = 150.0
LOOK_SECONDS = 10.0
SETTLE_SECONDS = 180.0
"""What an agent that has just started us may still take to verify, or to revert."""
ASK_AGAIN_SECONDS = 2.0
FINISH_SECONDS = 630.0
"""What a deployment that has just begun may still take; the unit's TimeoutStopSec is longer."""


def notify(message: str) -> None:
    """Tell systemd, when it started us (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(message.encode(), "\0" + path[1:] if path.startswith("@") else path)


def all_beat() -> bool:
    """Whether a worker of every cluster has done its heartbeat task recently.

    A database that is away is not their fault.
    """
    from django.db import DatabaseError, connection
    from django.utils import timezone

    from deployments.core import queueing

    try:
        beats = [queueing.last_beat(cluster) for cluster in CLUSTERS]
    except DatabaseError:
        return True
    finally:
        connection.close()
    return all(beat is not None and timezone.now() - beat <= FRESH for beat in beats)


def main() -> int:
    """Run until SIGTERM; then every cluster finishes what it runs, as long as systemd waits."""
    if why := first_start.set_up():
        sys.exit(why)
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    family = [
        Child(f"cluster {name}", [sys.executable, "-m", "portal", "qcluster"], {"Q_CLUSTER_NAME": name})
        for name in CLUSTERS
    ]
    for child in family:
        child.start()
    notify("READY=1")
    # what the workers before us left: the schedule would come to it in a minute, and this portal's own update ends now
    reap = [sys.executable, "-m", "portal", "reap", "--wait", f"{SETTLE_SECONDS:g}"]
    settling = subprocess.Popen(reap, cwd=BASE_DIR, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    began = looked = time.monotonic()
    while not stopping:
        for child in family:
            child.tend()
        settling.poll()
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            if looked - began < GRACE_SECONDS or all_beat():
                notify("WATCHDOG=1")
        time.sleep(0.2)
    notify("STOPPING=1")
    settling.terminate()
    end(family, time.monotonic() + FINISH_SECONDS)
    return 0


def end(family: list[Child], deadline: float) -> None:
    """Ask every cluster to end, by `deadline` (monotonic seconds), and then make it.

    One that is only just starting does not hear it (it has a handler, and not yet what that stops), so they are asked
    again, more and more seldom.
    """
    asked, pause = 0.0, ASK_AGAIN_SECONDS
    while time.monotonic() < deadline:
        alive = [child.process for child in family if child.process is not None and child.process.poll() is None]
        if not alive:
            break
        if time.monotonic() - asked >= pause or not asked:
            pause, asked = pause * 2 if asked else pause, time.monotonic()
            for process in alive:
                process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    for child in family:
        child.stop(deadline)


if __name__ == "__main__":
    sys.exit(main())
