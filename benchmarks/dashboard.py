"""The status page with 200 bots, 100,000 deployments and 1,000,000 samples against an empty database, and what the
heartbeats of 200 bots cost.

    python -m benchmarks dashboard

Promised: a constant number of queries, at most 150 ms, at most twice the empty database; 200 bots' heartbeats every
10 s below 10 % of a core. Each database is a file of its own, in a process of its own.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import health_proxy
from benchmarks.results import METHOD

BOTS = 200
ROUNDS = 30
BEATS = 100


def main(argv: Sequence[str] = ()) -> int:
    """Run both halves, print the comparison, and return 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks dashboard", description=__doc__)
    parser.add_argument("half", nargs="?", choices=("empty", "full"), help="measure this half alone, as JSON")
    if half := parser.parse_args(argv).half:
        json.dump(measure(full=half == "full"), sys.stdout)
        return 0
    empty, full = (_half(name) for name in ("empty", "full"))
    beat = beats()
    ratio, core = full["page_ms"] / empty["page_ms"], beat * BOTS / 10 / 10
    print(f"{METHOD}the quickest of {ROUNDS} (drawn anew: of 8, /metrics: of 5); {BEATS} heartbeats, their mean")
    print(f"status page, empty     {empty['page_ms']:7.1f} ms   {empty['queries']} queries   {empty['bytes']:,} bytes")
    print(
        f"status page, full      {full['page_ms']:7.1f} ms   {full['queries']} queries   {full['bytes']:,} bytes   "
        f"{ratio:.2f} × empty   ({full['rows']})"
    )
    print(f"  drawn anew           {full['drawn_ms']:7.1f} ms   (empty {empty['drawn_ms']:.1f} ms)")
    print(f"history page, full     {full['history_ms']:7.1f} ms   (empty {empty['history_ms']:.1f} ms)")
    print(f"/metrics, full         {full['metrics_ms']:7.1f} ms")
    print(f"heartbeat              {beat:7.2f} ms of CPU: {BOTS} bots every 10 s take {core:.1f} % of a core")
    return int(full["page_ms"] > 150 or full["drawn_ms"] > 150 or ratio > 2 or core > 10)


def _half(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-dashboard-") as state:
        environment = {**os.environ, "PORTAL_STATE_DIR": state, "DJANGO_SETTINGS_MODULE": "portal.settings"}
        environment.pop("DATABASE_URL", None)
        command = [sys.executable, "-m", "benchmarks.dashboard", name]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def measure(*, full: bool) -> dict[str, Any]:
    """Make the database and time the pages on it; milliseconds."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    from benchmarks.busy_portal import fill  # once Django is set up

    rows = fill(BOTS) if full else "no rows"
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from deployments.access.tokens import issue_token
    from deployments.core.actors import system_actor
    from deployments.models import Scope

    _, token = issue_token(actor=system_actor("bench"), name="metrics", scopes=[Scope.METRICS])
    headers = {"host": "localhost"}
    anyone, member = Client(headers=headers), Client(headers=headers)
    member.force_login(User.objects.create_superuser("bench"))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = anyone.get("/")
    bearer = {"authorization": f"Bearer {str.__str__(token)}"}
    return {
        "rows": rows,
        "queries": len(queries),
        "bytes": len(page.content),
        "page_ms": _timed(lambda: anyone.get("/")),
        "drawn_ms": _timed(lambda: anyone.get("/"), pause=1.05, rounds=8),
        "history_ms": _timed(lambda: member.get("/deployments/")),
        "metrics_ms": _timed(lambda: anyone.get("/metrics", headers=bearer), rounds=5),
    }


def _timed(get: Any, *, pause: float = 0.0, rounds: int = ROUNDS) -> float:
    """The quickest of `rounds`: whatever else the machine does only ever makes it slower."""
    times = []
    for _ in range(rounds):
        time.sleep(pause)
        started = time.perf_counter()
        answer = get()
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, answer.status_code
    return round(min(times), 2)


def beats() -> float:
    """Milliseconds of the web processes' CPU for one heartbeat, through gunicorn, from a connection each."""
    with tempfile.TemporaryDirectory(prefix="bench-beats-") as state, health_proxy.served(Path(state), 1) as portal:
        headers = {"Authorization": f"Bearer {portal.token}", "Content-Type": "application/json"}
        health = {"status": "connected", "connected": True, "channel": "rosey", "version": "1.0.0"}
        body = {"release": "1.0.0-abc", "sent_at": "2026-05-04T12:00:00Z", "response_ms": 1.0}
        spent = 0.0
        for number in range(BEATS + 20):
            if number == 20:  # warm
                spent = portal.cpu_seconds()
            document = health | {"uptime": 10.0 * number, "user_count": number % 20, "requests": number, "errors": 0}
            connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=10)
            connection.request("POST", "/api/v1/heartbeats", json.dumps(body | {"health": document}), headers)
            answer = connection.getresponse()
            assert answer.status == 204, answer.read()
            connection.close()
        return (portal.cpu_seconds() - spent) * 1000 / BEATS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
