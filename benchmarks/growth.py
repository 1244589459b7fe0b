"""Pages, lists and the verification of the audit trail on a portal with years behind it, beside a young one.

    python -m benchmarks.growth [--scale 0.1]

Runs on SQLite and, where it is installed, on PostgreSQL; each database is a file or server of its own. A young portal
has the same servers and environments, and in each ten deployments of two releases; an empty one has nothing to draw,
and is printed beside it. Promised: every page within 150 ms and 1.5 times the young portal; a log as text within 5 µs a
line; a million events verified within 1.5 times a bare SHA-256 pass over the same rows, what is new within a second.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from benchmarks.results import METHOD

ROUNDS = 5
YOUNG = 0.02
"""The part of the history that a young portal has: ten deployments in each environment, so that one is live."""
YOUNG_RELEASES = 400
"""Two for each environment, which takes them in turn: without a second one none would have anything to go back to."""
URLS = (
    "/?environment=place-9", "/deployments/", "/alerts/", "/admin/", "/admin/deployments/deployment/",
    "/admin/deployments/environment/", "/admin/deployments/release/", "/admin/deployments/auditevent/",
    "/admin/deployments/auditevent/?q=nobody", "/admin/deployments/notificationdelivery/", "/admin/auth/user/",
    "/start/", "/readiness/", "/statistics/", "/api/v1/servers", "/api/v1/bots",
    "/api/v1/environments", "/api/v1/deployments", "/api/v1/audit", "/api/v1/alerts", "/metrics",
)  # fmt: skip


def main(argv: Sequence[str] = ()) -> int:
    """Print the table for each database; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full history (default: 1)")
    parser.add_argument("--one", choices=("empty", "young", "full"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        json.dump(measure({"empty": 0.0, "young": YOUNG, "full": options.scale}[options.one]), sys.stdout)
        return 0
    from tests import postgres

    print(f"{METHOD}the quickest of {ROUNDS} of each page, the audit trail once; {options.scale:g} of the full history")
    broken = _report("SQLite", "", options.scale)
    if postgres.unavailable_reason() is None:
        with postgres.server() as empty, postgres.server() as young, postgres.server() as full:
            broken += _report("PostgreSQL", f"{empty} {young} {full}", options.scale)
    return int(bool(broken))


def _report(database: str, urls: str, scale: float) -> int:
    addresses = urls.split() or ["", "", ""]
    empty, young, full = (_run(one, url, scale) for one, url in zip(("empty", "young", "full"), addresses, strict=True))
    print(f"== {database}: {full['rows']}; migrations of the filled database {full['migrate_s']:.1f} s")
    bases, broken = {"young": young, "empty": empty}, 0
    for url in URLS:
        ratio = full[url] / young[url]
        missed = bool(full[url] > 150 or ratio > 1.5)
        broken += missed
        times = [f"{full[url] / one[url]:5.2f} × {name} ({one[url]:.1f} ms)" for name, one in bases.items()]
        print(f"{url:40} {full[url]:8.1f} ms {'  '.join(times)}{'  MISSED' * missed}")
    ratio = full["verify_s"] / full["bare_s"]
    print(f"log.txt of {full['log_lines']:,} lines: {full['log_ms']:.0f} ms, {full['log_us']:.1f} µs a line")
    broken += int(full["log_us"] > 5.0)
    print(f"audit verify {full['verify_s']:.2f} s, {ratio:.2f} × a bare pass; what is new {full['new_s']:.3f} s")
    return broken + int(ratio > 1.5) + int(full["new_s"] > 1.0)


def _run(one: str, url: str, scale: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as state:
        environment = {**os.environ, "PORTAL_STATE_DIR": state, "DJANGO_SETTINGS_MODULE": "portal.settings"}
        environment.pop("DATABASE_URL", None)
        if url:
            environment["DATABASE_URL"] = url
        command = [sys.executable, "-m", "benchmarks.growth", "--one", one, "--scale", str(scale)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def measure(scale: float) -> dict[str, Any]:
    """Fill the database and time everything; pages in milliseconds."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    from benchmarks import filling

    found: dict[str, Any] = {"migrate_s": 0.0}
    if scale:
        full = {each.name: getattr(filling.FULL, each.name) for each in fields(filling.Size)}
        least = {"releases": YOUNG_RELEASES, "deployments": 10, "lines": 10, "alerts": 10, "events": 10}
        filling.fill(filling.Size(**{n: max(least[n], int(v * scale)) if n in least else v for n, v in full.items()}))
        found["migrate_s"] = _migrated(call_command)
    found["rows"] = ", ".join(f"{count:,} {name}" for name, count in filling.counts().items())
    found |= _pages()
    return found | (_log() if scale else {}) | _verification()


def _migrated(call_command: Callable[..., Any]) -> float:
    """Seconds that the indexes of the history take to make on it."""
    from django.db.migrations.loader import MigrationLoader

    nodes = MigrationLoader(None).graph.nodes
    for app in ("dashboard", "deployments"):
        named = next(name for label, name in nodes if label == app and name.endswith("_history_indexes"))
        call_command("migrate", app, f"{int(named[:4]) - 1:04d}", verbosity=0)
    started = time.perf_counter()
    call_command("migrate", verbosity=0)
    return time.perf_counter() - started


def _pages() -> dict[str, float]:
    from django.contrib.auth.models import User
    from django.test import Client

    from deployments.access.tokens import issue_token
    from deployments.core.actors import system_actor
    from deployments.models import Scope

    made = User.objects.create_superuser("bench")
    member = Client(headers={"host": "localhost"})
    member.force_login(made, backend="django.contrib.auth.backends.ModelBackend")
    _, scrape = issue_token(actor=system_actor("bench"), name="metrics", scopes=[Scope.METRICS])
    from tests.fixtures.records import hand_token

    reading = hand_token(made, "growth")
    timed: dict[str, float] = {}
    for url in URLS:
        token = str.__str__(scrape) if url == "/metrics" else reading
        bearer = {"host": "localhost", "authorization": f"Bearer {token}"}
        client = Client(headers=bearer) if url.startswith(("/api/", "/metrics")) else member
        timed[url] = min(_milliseconds(client, url) for _ in range(ROUNDS))
    return timed


def _log() -> dict[str, float]:
    """The longest log, as its page streams it."""
    from django.contrib.auth.models import User
    from django.test import Client

    from deployments.models import LogLine

    number = LogLine.objects.latest("pk").deployment_id
    member = Client(headers={"host": "localhost"})
    member.force_login(User.objects.get(username="bench"), backend="django.contrib.auth.backends.ModelBackend")
    lines = LogLine.objects.filter(deployment=number).count()
    took = min(_milliseconds(member, f"/deployments/{number}/log.txt") for _ in range(ROUNDS))
    return {"log_lines": lines, "log_ms": took, "log_us": took / lines * 1000}


def _milliseconds(client: Any, url: str) -> float:
    started = time.perf_counter()
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    assert answer.getvalue(), url
    return (time.perf_counter() - started) * 1000


def _verification() -> dict[str, float]:
    """The whole walk, what is new after it, and a bare pass: the same rows, read, written out and hashed."""
    from deployments.audit import trail, verification
    from deployments.core.actors import system_actor
    from deployments.models import AuditEvent

    actor = system_actor("bench")

    def bare() -> None:
        for event in AuditEvent.objects.order_by("sequence").values().iterator(chunk_size=2000):
            text = json.dumps({**event, "at": event["at"].isoformat()}, sort_keys=True, ensure_ascii=False)
            hashlib.sha256(text.encode()).hexdigest()

    problems = verification.verify(actor=actor)
    assert problems == [], problems[:3]
    return {
        "bare_s": _seconds(bare),
        "verify_s": _seconds(lambda: trail.verify()),
        "new_s": _seconds(lambda: verification.verify_new()),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
