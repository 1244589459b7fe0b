"""The first deployment of all, with every dependency, beside what one types instead: `pip install` and the script.

    python -m benchmarks first [--repeats 3]

A tree of 18 MB and the bot's lock, to a server on which nothing was ever deployed. The peer is the script, and on the
same server `python3 -m venv` and `pip install` of the same lock from an index at the next address, which is as near as
an index can be. Promised: at most half of that; the second deployment with the same lock installs nothing.
"""

import argparse
import contextlib
import functools
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.peers import Peers
from benchmarks.processes import ROOT, cluster, one_more_server, start_django
from benchmarks.redeploy import APPLICATION, PORT, ended
from benchmarks.results import LEFT_OUT, METHOD

if TYPE_CHECKING:  # Django is not ready when this is imported
    from deployments.models import Deployment, Release
    from sandbox.hosts import HostSet

MOST_RATIO = 0.5
LOCK = ROOT / "requirements" / "bot.txt"
NOTHING_THERE = """\
systemctl stop {name}.service; systemctl reset-failed
cd /opt/{name} && rm -rf current next releases/* releases/.[!.]* envs/* backups/* shared/config/*
[ ! -d .deploy ] || find .deploy -type f ! -name 'agent*' -delete
rm -rf /root/.cache/pip /home/*/.cache/pip; sync
"""
TYPED = """\
set -e; date +%s.%N
rm -rf /tmp/env; python3 -m venv /tmp/env; date +%s.%N
/tmp/env/bin/pip install -q --no-input --require-hashes -r {lock} --index-url {index} --trusted-host {host}; date +%s.%N
"""


@dataclass
class Row:
    """Seconds at one round-trip time (ms)."""

    rtt: int
    ours: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)

    def typed(self) -> list[float]:
        """All that the peer does, of each turn."""
        return [sum(turn) for turn in zip(*self.parts.values(), strict=True)]


def main(argv: list[str]) -> int:
    """Measure and print; 1 when a promise was not kept, 2 when hosts cannot boot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks first", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    from sandbox.hosts import HostSet, unavailable_reason

    if reason := unavailable_reason():
        print(f"left out: {reason}")
        return LEFT_OUT
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        hosts = stack.enter_context(HostSet("bench-first"))
        start_django(scratch / "state")
        hosts.up(1)
        bench = _Bench(hosts, scratch)
        stack.enter_context(cluster("deploys"))
        index = stack.enter_context(_index(hosts.gateway, bench.wheels(), scratch / "index"))
        print(f"{METHOD}{options.repeats} of each in turns, after one that is not counted; medians (least to most)")
        rows = [bench.measure(rtt, options.repeats, index) for rtt in (0, 50)]
    return int(sum([_report(row) for row in rows]) > 0)


class _Bench:
    def __init__(self, hosts: "HostSet", scratch: Path) -> None:
        from benchmarks.tree import write_tree
        from deployments.core.actors import shell_actor
        from deployments.models import Environment

        self.host, self.actor, self.tree, self.number = hosts.host(1), shell_actor("bench"), scratch / "tree", 0
        self._gateway = hosts.gateway
        write_tree(self.tree, APPLICATION, PORT)
        described = self.tree / "deploy.toml"
        described.write_text(described.read_text().replace("[roles.bot]\n", '[roles.bot]\nlock = "bot.txt"\n'))
        shutil.copy(LOCK, self.tree / "bot.txt")
        self.environment = Environment.objects.get(name="test")
        self.server = one_more_server(
            self.host, hosts.bootstrap_key, actor=self.actor, environment=self.environment, name="bench-1",
            release=self._next()[0],
        )  # fmt: skip
        self.peers = Peers(hosts, scratch, self.tree, others=False)

    def wheels(self) -> list[Path]:
        """Those of the lock, as they were fetched for the release."""
        from django.conf import settings

        return sorted((settings.STATE_DIR / "wheels").glob("*/*.whl"))

    def measure(self, rtt: int, repeats: int, index: str) -> Row:
        """Each on a server where nothing was, over a line with this round-trip time; the first turn warms up."""
        row = Row(rtt)
        self.host.latency(rtt)
        for turn in range(repeats + 1):
            fresh, second = self._ours()
            parts = self._typed(index)
            if turn:
                self._note(row, fresh, second)
                for what, seconds in parts.items():
                    row.parts.setdefault(what, []).append(seconds)
        self.host.clear()
        return row

    def _ours(self) -> "tuple[Deployment, Deployment]":
        """The first deployment of all, and the next with the same lock."""
        from deployments.models import Server

        self._empty(APPLICATION)
        Server.objects.filter(pk=self.server.pk).update(current_release=None, previous_release=None, config_digest="")
        return self._deploy(), self._deploy()

    def _deploy(self) -> "Deployment":
        from deployments.requests.requests import request_deployment

        self.environment.refresh_from_db()
        release = self._next()[0]
        return ended(
            request_deployment(actor=self.actor, release=release, environment=self.environment, reason="measured")
        )

    def _typed(self, index: str) -> dict[str, float]:
        """The script's first deployment, then the environment and the packages, typed over SSH."""
        self._empty("script-bot")
        version = self._next()[1]
        took = {"script": self.peers.deploy("script", 1, version)}
        lock = f"/opt/script-bot/releases/{version}/bot.txt"
        words = self.host.ssh_command(TYPED.format(lock=lock, index=index, host=self._gateway))
        said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        seconds = [later - earlier for earlier, later in pairwise(map(float, said))]
        return took | dict(zip(("environment", "pip install"), seconds, strict=True))

    def _empty(self, name: str) -> None:
        self.host.root(["sh", "-c", NOTHING_THERE.format(name=name)])

    def _next(self) -> "tuple[Release, str]":
        from benchmarks.tree import next_version
        from deployments.releases.builds import build_release

        self.number += 1
        version = next_version(self.tree, self.number)
        return build_release(actor=self.actor, source=self.tree, ref=None)[0], version

    @staticmethod
    def _note(row: Row, fresh: "Deployment", second: "Deployment") -> None:
        for deployment, took in ((fresh, row.ours), (second, row.second)):
            assert deployment.started_at is not None, "it has been verified"
            assert deployment.verified_at is not None, "it has been verified"
            took.append((deployment.verified_at - deployment.started_at).total_seconds())
        for step in fresh.targets.get().steps.all():
            row.steps.setdefault(step.name, []).append(step.seconds or 0.0)
        built = second.targets.get().steps.get(name="dependencies").facts.get("built")
        if built != []:
            raise SystemExit(f"the second deployment with the same lock installed something: {built}")


@contextlib.contextmanager
def _index(address: str, wheels: list[Path], directory: Path) -> Iterator[str]:
    """A package index with these wheels alone; its URL."""
    for wheel in wheels:
        project = directory / "simple" / wheel.name.partition("-")[0].replace("_", "-").lower()
        project.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, project)
    server = http.server.ThreadingHTTPServer((address, 0), functools.partial(_Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_port}/simple/"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def _report(row: Row) -> bool:
    """Print a row; whether its promise was not kept."""
    ours, typed = median(row.ours), row.typed()
    ratio = ours / median(typed)
    missed = ratio > MOST_RATIO
    print(f"first deployment, {row.rtt} ms", flush=True)
    print(f"  ours, from the claim     {_spread(row.ours)}   {ratio:.2f} ×{f' MISSED: at most {MOST_RATIO}' * missed}")
    parts = ", ".join(f"{what} {median(took):.3f}" for what, took in row.parts.items())
    print(f"  pip install and script   {_spread(typed)}   ({parts})")
    print("  where ours goes: " + ", ".join(f"{what} {median(took):.3f}" for what, took in row.steps.items()))
    print(f"  the second, same lock    {_spread(row.second)}   installs nothing")
    return missed


def _spread(took: list[float]) -> str:
    return f"{median(took):7.3f} s  ({min(took):.3f} to {max(took):.3f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
