"""Rollback of the real bot on a real server: from the click, through a real task cluster, to verified and in its room.

Its yardstick is what the unit itself needs from `systemctl restart` to its first healthy answer, measured on the same
server in turn with the rollbacks, over the same line. What we may add is half a second and four round trips.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import ROOT, cluster, one_more_server, start_django
from benchmarks.results import METHOD

if TYPE_CHECKING:  # Django is not ready when this is imported
    from deployments.models import Deployment, Release
    from sandbox.hosts import Host

UNIT = "cytube-bot.service"
MAY_ADD_SECONDS, ROUND_TRIPS = 0.5, 4
IN_ALL_SECONDS = 3.0
RESTART = """
import http.client, json, subprocess, sys, time
began = time.perf_counter()
subprocess.run(["systemctl", "reset-failed", sys.argv[1]], check=True)
subprocess.run(["systemctl", "--no-block", "restart", sys.argv[1]], check=True)
while time.perf_counter() - began < 60:
    try:
        line = http.client.HTTPConnection("127.0.0.1", 8001, timeout=2)
        line.request("GET", "/api/health")
        answer = line.getresponse()
        body = json.load(answer)
        if answer.status == 200 and body["uptime"] < time.perf_counter() - began + 0.05:
            print(time.perf_counter() - began)
            break
    except OSError:
        pass
    time.sleep(0.02)
"""


@dataclass
class Row:
    """Measured at one round-trip time (ms); all else in seconds."""

    rtt: int
    restart: list[float] = field(default_factory=list)
    rollback: list[float] = field(default_factory=list)
    click: list[float] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)

    @property
    def allowed(self) -> float:
        """What a rollback may take, from its claim to its proof."""
        return statistics.median(self.restart) + MAY_ADD_SECONDS + ROUND_TRIPS * self.rtt / 1000


def main(argv: list[str]) -> int:
    """Measure and print; 1 when a promise was not kept, 2 when hosts cannot boot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rollback", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(argv)
    from sandbox.demo.room import CytubeThread
    from sandbox.hosts import HostSet, unavailable_reason

    if reason := unavailable_reason():
        print(f"left out: {reason}")
        return 2
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        hosts = stack.enter_context(HostSet("bench-rollback"))
        (host,) = hosts.up(1)
        start_django(scratch / "state")
        room = stack.enter_context(CytubeThread(hosts.gateway))
        bench = _Bench(host, hosts.bootstrap_key, scratch, room.server.url)
        stack.enter_context(cluster("rescue"))
        bench.roll_back(Row(0))  # the worker's first one also imports and connects
        rows = [bench.measure(rtt, options.repeats) for rtt in (0, 50)]
    print(f"{METHOD}{options.repeats} restarts and rollbacks in turns; medians (least to most)")
    return _report(rows)


class _Bench:
    def __init__(self, host: "Host", key: Path, scratch: Path, room: str) -> None:
        from deployments.core.actors import shell_actor
        from deployments.environments.secrets import set_secret
        from deployments.models import Environment
        from sandbox.cytube.config import SANDBOX_PASSWORD

        self.host, self.scratch, self.actor = host, scratch, shell_actor("bench")
        self.environment = Environment.objects.get(name="test")
        self.environment.bake_seconds = 0
        self.environment.configuration = {"bot.json": {"domain": room}}
        self.environment.save()
        set_secret(actor=self.actor, environment=self.environment, name="cytube-password", value=SANDBOX_PASSWORD)
        self.old, self.new = self._build("9.0.0"), self._build("9.0.1")
        one_more_server(
            self.host, key, actor=self.actor, environment=self.environment, name="bench-1", release=self.old
        )
        for release in (self.old, self.new):
            self._forward(release)

    def measure(self, rtt: int, repeats: int) -> Row:
        """Restarts and rollbacks in turn, over a line with this round-trip time in ms."""
        row = Row(rtt)
        self.host.latency(rtt)
        for _ in range(repeats):
            done = self.host.root(["python3", "-c", RESTART, UNIT], deadline=90)
            row.restart.append(float(done.stdout))
            self.roll_back(row)
        self.host.clear()
        return row

    def roll_back(self, row: Row) -> None:
        """One rollback through the cluster, and forward again."""
        from deployments.requests.rollbacks import request_rollback

        self.environment.refresh_from_db()
        asked = request_rollback(actor=self.actor, environment=self.environment, reason="measured")
        ends = time.monotonic() + 120
        while not asked.ended:
            if time.monotonic() > ends:
                raise SystemExit(f"rollback {asked.pk} is still {asked.status}")
            time.sleep(0.02)
            asked.refresh_from_db()
        self._must_have_succeeded(asked)
        assert asked.started_at is not None, "it has ended"
        assert asked.finished_at is not None, "it has ended"
        row.rollback.append((asked.finished_at - asked.started_at).total_seconds())
        row.click.append((asked.finished_at - asked.requested_at).total_seconds())
        for step in asked.targets.get().steps.all():
            row.steps.setdefault(step.name, []).append(step.seconds or 0.0)
        self._forward(self.new)

    def _forward(self, release: "Release") -> None:
        from deployments.execution.run import execute
        from deployments.requests.requests import request_deployment

        self.environment.refresh_from_db()
        asked = request_deployment(actor=self.actor, release=release, environment=self.environment, reason="measured")
        execute(asked.pk)
        asked.refresh_from_db()
        self._must_have_succeeded(asked)
        release.quarantined_at = None
        release.save(update_fields=["quarantined_at"])

    @staticmethod
    def _must_have_succeeded(deployment: "Deployment") -> None:
        if deployment.status != "succeeded":
            raise SystemExit(f"deployment {deployment.pk}: {deployment.status}: {deployment.sentence}")

    def _build(self, version: str) -> "Release":
        from deployments.releases.builds import build_release

        tree = self.scratch / f"tree-{version}"
        tree.mkdir()
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
        (tree / "VERSION").write_text(f"{version}\n")
        return build_release(actor=self.actor, source=tree, ref=None)[0]


def _report(rows: list[Row]) -> int:
    print(f"{'rtt':>6} {'restart':>24} {'rollback':>24} {'allowed':>8} {'click':>24}   (s; click: with the queue)")
    missed = 0
    for row in rows:
        restart, rollback, click = (statistics.median(list_) for list_ in (row.restart, row.rollback, row.click))
        verdict = "" if rollback <= row.allowed and click <= IN_ALL_SECONDS else "  MISSED"
        missed += bool(verdict)
        times = f"{_spread(row.restart)} {_spread(row.rollback)} {row.allowed:>8.3f} {_spread(row.click)}"
        print(f"{row.rtt:>3} ms {times}   rollback {rollback / restart:.2f} × restart{verdict}")
        print("       " + ", ".join(f"{name} {statistics.median(took):.3f}" for name, took in row.steps.items()))
    return 1 if missed else 0


def _spread(took: list[float]) -> str:
    return f"{f'{statistics.median(took):.3f} ({min(took):.3f} to {max(took):.3f})':>24}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
