"""The three clusters as one service: `python -m portal.workers`, which systemd/cytube-worker.service starts.

A cluster that ends is started again, and so is one that takes no tasks any more (`portal.run.Watchdog`): one whose idle
workers were killed looks alive and never works again (measured, docs/decisions/0003-queue.md). The others are left at
their work, and the reaper settles what was running. systemd's watchdog is fed while this goes on.
"""

import os
import signal
import socket
import subprocess
import sys
import time

from portal import first_start
from portal.environment import BASE_DIR
from portal.run import Child, Watchdog, clusters, die_with_parent

FEED_SECONDS = 10.0
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


def main() -> int:
    """Run until SIGTERM; then every cluster finishes what it runs, as long as systemd waits."""
    if why := first_start.set_up():
        sys.exit(why)
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    family = clusters()
    for child in family:
        child.start()
    watchdog = Watchdog(family)
    notify("READY=1")
    # what the workers before us left: the schedule would come to it in a minute, and this portal's own update ends now
    reap = [sys.executable, "-m", "portal", "reap", "--wait", f"{SETTLE_SECONDS:g}"]
    settling = subprocess.Popen(reap, cwd=BASE_DIR, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    fed = 0.0
    while not stopping:
        for child in family:
            child.tend()
        watchdog.look()
        settling.poll()
        if time.monotonic() - fed >= FEED_SECONDS:
            fed = time.monotonic()
            notify("WATCHDOG=1")
        time.sleep(0.2)
    notify("STOPPING=1")
    settling.terminate()
    end(family, time.monotonic() + FINISH_SECONDS)
    watchdog.end()
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
