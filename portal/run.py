"""The whole portal on one machine: `python -m portal.run`, which is what `make run` starts.

Migrates, collects static files, then keeps the web process and the three clusters running until Ctrl-C. A cluster that
has died is started again, and so is one that has stalled (`deployments.execution.liveness`). On servers systemd does
this (systemd/cytube-web.service, cytube-worker.service).
"""

import argparse
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from portal.environment import BASE_DIR, state_dir

CLUSTERS = ("deploys", "rescue", "default")
STOP_SECONDS = 30.0
STABLE_SECONDS = 10.0
LOOK_SECONDS = 15.0
"""Between two looks at whether the clusters still do their work."""
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process that is started again, later each time, when it ends by itself."""

    name: str
    command: list[str]
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    pause: float = field(default=0.5)
    cluster: str = ""

    def start(self) -> None:
        """Start it in a session of its own: a signal to our terminal must not reach a cluster's workers."""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            cwd=BASE_DIR,
            env={**os.environ, **self.environment},
            start_new_session=True,
            preexec_fn=die_with_parent,  # safe: no threads here
        )

    def tend(self) -> None:
        """Start it again if it has ended and its pause is over."""
        if self.process is None or self.process.poll() is None:
            return
        lived = time.monotonic() - self.started
        if lived > STABLE_SECONDS:
            self.pause = 0.5
        if lived >= self.pause:
            print(f"{self.name} ended with {self.process.returncode}; starting it again", flush=True)
            self.pause = min(self.pause * 2, 30.0)
            self.kill()  # what its main process left behind would work on beside the new one
            self.start()

    def kill(self) -> None:
        """End every process of it at once."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, deadline: float) -> None:
        """Ask it to end by `deadline` (monotonic seconds), then make it."""
        if self.process is None:
            return
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # whatever is left of its session
        self.process.wait()


def die_with_parent() -> None:
    """For a child before its program begins: it is asked to end when its parent has died."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def clusters() -> list[Child]:
    """One cluster each for deployments, rescue and housekeeping."""
    command = [sys.executable, "-m", "portal", "qcluster"]
    # threads side by side, and memory that glibc keeps for each: with fifty servers 288 MB instead of 138
    shared = {"DJANGO_SETTINGS_MODULE": "portal.settings", "MALLOC_ARENA_MAX": "2"}
    return [Child(f"cluster {name}", command, {**shared, "Q_CLUSTER_NAME": name}, cluster=name) for name in CLUSTERS]


def web(binds: list[str], metrics: Path) -> Child:
    """The web process."""
    listen = [part for bind in binds for part in ("--bind", bind)]
    program = [sys.executable, "-m", "gunicorn", "--config", "python:portal.gunicorn"]
    shared = {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    return Child(
        "web", [*program, *listen, "portal.wsgi:application"], {**shared, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    )


def prepare() -> Path:
    """Migrate and collect static files; returns the wiped directory for the metrics of several processes."""
    for command in (["migrate", "--verbosity", "0"], ["collectstatic", "--noinput", "--verbosity", "0"], ["reap"]):
        program = [sys.executable, "-m", "portal", *command]
        if code := subprocess.run(program, cwd=BASE_DIR, check=False, stdout=subprocess.DEVNULL).returncode:
            sys.exit(code)  # it has said why
    metrics = state_dir() / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    return metrics


class Watchdog:
    """Starts each of this machine's clusters again that is alive and does nothing any more; the others work on."""

    def __init__(self, family: list[Child]) -> None:
        import django

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
        django.setup()
        self._begin()
        self._clusters = [child for child in family if child.cluster]
        self._next = time.monotonic() + LOOK_SECONDS
        self._reached = 0.0  # since then without a break

    @staticmethod
    def knows_nobody() -> bool:
        """Whether nobody could sign in."""
        from django.contrib.auth.models import User
        from django.db import DatabaseError, connection

        try:
            return not User.objects.exists()
        except DatabaseError:
            return False
        finally:
            connection.close()

    def look(self) -> None:
        """Every `LOOK_SECONDS`: restart what has stalled. Without a database nothing can be said."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_SECONDS
        from django.db import DatabaseError, connection

        try:
            for child in self._clusters:
                self._look_at(child)
        except DatabaseError as error:  # nobody was heard meanwhile, however well they are
            self._reached = time.monotonic()
            print(f"The clusters cannot be watched: {error}", flush=True)
        finally:
            connection.close()

    def _look_at(self, child: Child) -> None:
        from django.utils import timezone

        from deployments.core import queueing
        from deployments.execution.liveness import stalled

        up = time.monotonic() - max(child.started, self._reached)
        if why := stalled(child.cluster, since=timezone.now() - timedelta(seconds=up)):
            print(f"{child.name} has stalled ({why}); starting it again", flush=True)
            child.kill()
            child.start()
        queueing.ask_to_beat(child.cluster)

    @staticmethod
    def _begin() -> None:
        """The clusters begin: their silence counts from now, and not from before this machine was off."""
        from django.db import DatabaseError, connection

        from deployments.core import beats

        with contextlib.suppress(DatabaseError):
            beats.begin()
        connection.close()

    @staticmethod
    def end() -> None:
        """The clusters have ended in order, and are not missed from now on."""
        from django.db import DatabaseError

        from deployments.core import queueing

        with contextlib.suppress(DatabaseError):
            queueing.sign_off()


def main(argv: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; 0 when everything ended in time."""
    parser = argparse.ArgumentParser(prog="python -m portal.run", description="The portal on one machine.")
    port = os.environ.get("PORT", "8080")
    parser.add_argument("--bind", action="append", help=f"address:port, repeatable (default: 127.0.0.1:{port})")
    options = parser.parse_args(argv)
    binds = options.bind or [f"127.0.0.1:{port}"]
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    family = [web(binds, prepare()), *clusters()]
    for child in family:
        child.start()
    watchdog = Watchdog(family)
    print(f"The portal runs on http://{binds[0]} (Ctrl-C ends it)", flush=True)
    if watchdog.knows_nobody():
        print("It knows nobody yet: its first page says what comes first.", flush=True)
    while not stopping:
        for child in family:
            child.tend()
        watchdog.look()
        time.sleep(0.2)
    stop(family)
    watchdog.end()
    return 0


def stop(family: list[Child]) -> None:
    """Ask every main process to end, and see that they do: clusters finish what they run."""
    for child in family:
        if child.process is not None and child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for child in family:
        child.stop(deadline)


if __name__ == "__main__":
    sys.exit(main())
