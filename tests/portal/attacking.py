"""The web process as it runs on servers, and bounded attacks on it, all on loopback."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Web:
    """A gunicorn of ours with two processes, on a state directory of its own."""

    port: int
    pid: int
    spool: Path
    state: Path

    def ask(self, path: str, *, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, float]:
        """The status of an answer, and how long it took."""
        began = time.monotonic()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                answer.read()
                return answer.status, time.monotonic() - began
        except urllib.error.HTTPError as refused:
            return refused.code, time.monotonic() - began

    def connect(self) -> socket.socket:
        """A connection on which a test says what it likes."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def memory(self) -> int:
        """Resident bytes of all its processes."""
        deadline = time.monotonic() + 60
        while True:  # one that ended is started again a moment later
            asked = ["ps", "-o", "rss=", "--ppid", str(self.pid)]
            sizes = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
            if sizes:
                return sum(map(int, sizes)) * 1024
            assert time.monotonic() < deadline, "gunicorn has no process that answers"
            time.sleep(0.1)

    def spooled(self) -> int:
        """Bytes in files that were written for bodies, here or in the state directory, open and deleted ones too."""
        size = sum(path.stat().st_size for path in self.spool.rglob("*") if path.is_file())
        size += sum(path.stat().st_size for path in self.state.glob("*.upload*") if path.is_file())
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
        for child in children.stdout.split():
            for handle in Path(f"/proc/{child}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(handle.readlink()).startswith(str(self.spool)):
                        size += handle.stat().st_size
        return size


@contextlib.contextmanager
def web(state: Path, migrated: Path) -> Iterator[Web]:
    """Start it on a copy of a migrated database, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spool = state / "spool"
    spool.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    environment = {
        **kept,
        "PORTAL_STATE_DIR": str(state),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "TMPDIR": str(spool),
        "DATABASE_URL": f"sqlite:///{state}/portal.sqlite3",
    }
    (state / "static").mkdir(exist_ok=True)
    shutil.copyfile(migrated, state / "portal.sqlite3")
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    program = [sys.executable, "-m", "gunicorn", "--config", "python:portal.gunicorn", "--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*program, "portal.wsgi:application"], cwd=ROOT, env=environment, start_new_session=True)
    try:
        running = Web(port, process.pid, spool, state)
        wait_for(running)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(running: Web) -> None:
    """Until it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if running.ask("/healthz")[0] == 200:
                return
        time.sleep(0.1)
    raise AssertionError("gunicorn did not start")


def run_there(running: Web, code: str) -> str:
    """Run Python in that portal, and return what it printed."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")},
        "PORTAL_STATE_DIR": str(running.state),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"sqlite:///{running.state}/portal.sqlite3",
    }
    said = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{code}"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()
