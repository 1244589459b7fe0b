"""`/api/health` against a constant JSON view of the same project in the same gunicorn, in turns.

    python -m benchmarks health_proxy

Promised: at least 0.8 × the constant view's rate for few clients and 0.9 × for 200 at once, and at most one upstream
call a second, whatever the number of processes. Two web processes with four threads each; two client processes, each
with two connections and then with a hundred.
"""

import argparse
import http.client
import http.server
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.results import METHOD

ROUNDS, SECONDS = 5, 2.0
CLIENTS = 2
WANTED = {2: 0.8, 100: 0.9}
"""By connections of each client."""
DOCUMENT = {
    "status": "connected",
    "connected": True,
    "channel": "rosey",
    "uptime": 86400.5,
    "version": "1.4.0",
    "user_count": 17,
    "requests": 1290,
    "errors": 2,
}


class Bot(http.server.BaseHTTPRequestHandler):
    """A bot's health port."""

    calls: list[float] = []  # noqa: RUF012  (one bot)

    def do_GET(self) -> None:
        """Answer, and note when."""
        Bot.calls.append(time.monotonic())
        body = json.dumps(DOCUMENT).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Portal:
    """A running portal."""

    port: int
    token: str
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of its web processes so far."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def main(argv: Sequence[str] = ()) -> int:
    """Measure, print, and return 1 when a promise was not kept."""
    argparse.ArgumentParser(prog="python -m benchmarks health_proxy", description=__doc__).parse_args(argv)
    bot = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bot)
    threading.Thread(target=bot.serve_forever, daemon=True).start()
    broken = 0
    print(f"{METHOD}{ROUNDS} times {SECONDS:g} s of each in turns, after half a second; medians (least to most)")
    with tempfile.TemporaryDirectory(prefix="bench-health-") as state, served(Path(state), bot.server_port) as portal:
        for connections, wanted in WANTED.items():
            constant, proxied = _compared(portal.port, connections)
            ratio = median(proxied) / median(constant)
            broken += ratio < wanted
            print(f"{connections * CLIENTS} clients")
            print(f"  constant view   {_spread(constant)}")
            print(f"  /api/health     {_spread(proxied)}   {ratio:.2f} × (promised {wanted})")
    bot.shutdown()
    bot.server_close()
    gaps = [later - earlier for earlier, later in pairwise(Bot.calls)]
    print(f"upstream        {len(Bot.calls)} calls, never closer than {min(gaps):.2f} s (promised 1)")
    return int(broken > 0 or min(gaps) < 1.0)


def _spread(rates: Sequence[float]) -> str:
    return f"{median(rates):8.0f} requests/s ({min(rates):.0f} to {max(rates):.0f})"


def _compared(port: int, connections: int) -> tuple[list[float], list[float]]:
    """Rates of the constant view and of the proxy, in turns."""
    rates: dict[str, list[float]] = {"/api/constant": [], "/api/health": []}
    for path in rates:
        rate(port, path, 0.5, connections)
    for _ in range(ROUNDS):
        for path, found in rates.items():
            found.append(rate(port, path, SECONDS, connections))
    constant, proxied = rates.values()
    return constant, proxied


@contextmanager
def served(state: Path, bot_port: int) -> Iterator[Portal]:
    """The portal in gunicorn with one enrolled production bot and a token for its heartbeats."""
    environment = {
        **os.environ,
        "PORTAL_STATE_DIR": str(state),
        "DJANGO_SETTINGS_MODULE": "benchmarks.health_settings",
        "PROMETHEUS_MULTIPROC_DIR": str(state / "metrics"),
    }
    environment.pop("DATABASE_URL", None)
    (state / "metrics").mkdir()
    enrol = (
        "from deployments.models import *\n"
        "from deployments.core.actors import system_actor\n"
        "from deployments.access.tokens import issue_token\n"
        "server = Server.objects.create(name='prod-1', environment=Environment.objects.get(name='production'),\n"
        "  host='127.0.0.1', roles=['bot'], host_key='x', fingerprint='x', state='provisioned',\n"
        f"  facts={{'health': {{'port': {bot_port}, 'path': '/api/health'}}}})\n"
        "text = issue_token(actor=system_actor('bench'), name='beat', scopes=[Scope.HEARTBEAT], server=server)[1]\n"
        f"open({str(state / 'token')!r}, 'w').write(str.__str__(text))"
    )
    for command in (["migrate", "-v0"], ["collectstatic", "-v0", "--noinput"], ["shell", "-v0", "-c", enrol]):
        subprocess.run([sys.executable, "manage.py", *command], env=environment, check=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [sys.executable, "-m", "gunicorn", "portal.wsgi:application", "-b", f"127.0.0.1:{port}"]
    command += ["-w", "2", "-k", "gthread", "--threads", "4", "--keep-alive", "30", "--log-level", "error"]
    server = subprocess.Popen(command, env=environment)
    try:
        wait_for(port)
        yield Portal(port, (state / "token").read_text(), server.pid)
    finally:
        server.terminate()
        server.wait(20)


def wait_for(port: int) -> None:
    """Return when the portal answers; give up after 30 s."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("the portal did not start")


def rate(port: int, path: str, seconds: float, connections: int) -> float:
    """Requests per second of all clients together."""
    with multiprocessing.get_context("spawn").Pool(CLIENTS) as pool:
        return sum(pool.starmap(client, [(port, path, seconds, connections)] * CLIENTS)) / seconds


def client(port: int, path: str, seconds: float, connections: int) -> int:
    """How many answers one process got over so many connections. Raises AssertionError for one that is none."""
    counts, refused = [0] * connections, set[int]()
    start = time.monotonic()

    def ask(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        while time.monotonic() - start < seconds:
            connection.request("GET", path, headers={"Host": "127.0.0.1"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                refused.add(answer.status)
                break
            counts[index] += 1
        connection.close()

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused, f"{path} was answered with {refused}"
    return sum(counts)


if __name__ == "__main__":
    sys.exit(main())
