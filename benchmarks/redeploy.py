"""Redeployment and rollback beside the peers: same hosts, same tree, same wait for the same proof, in one run.

Ours goes through the task clusters as in production, whose workers are warm; it is measured from its record: from the
claim, and from the request, to the proof. Peers are the wall time of a command line. All take turns, and only the
ratios mean something.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.peers import INTERVAL, SAMPLES, WAIT, Peers
from benchmarks.processes import cluster, one_more_server, start_django
from benchmarks.results import METHOD

if TYPE_CHECKING:  # Django is not ready when this is imported
    from deployments.models import Deployment, Release
    from sandbox.hosts import HostSet

APPLICATION, PORT = "bench-bot", 8101
CLAIM, REQUEST = "ours, from the claim", "ours, from the request"
FLOOR = "restart and wait alone"
PROMISES = {
    ("redeploy", "script", CLAIM): {1: 0.6, 4: 0.7},
    ("redeploy", "script", REQUEST): {1: 0.8, 4: 0.8},
    ("rollback", "script", CLAIM): {1: 0.6, 4: 0.6},
    ("rollback", FLOOR, CLAIM): {1: 1.5},
    ("redeploy", "Ansible", CLAIM): {1: 1 / 8, 4: 1 / 8},
    ("redeploy", "pyinfra", CLAIM): {1: 1 / 3, 4: 1 / 3},
}


@dataclass
class Block:
    """Seconds of everybody, for one act on so many servers over a line of this round trip (ms)."""

    what: str
    servers: int
    rtt: int
    took: dict[str, list[float]] = field(default_factory=dict)
    spans: dict[str, list[float]] = field(default_factory=dict)

    def add(self, who: str, seconds: float) -> None:
        """One more sample."""
        self.took.setdefault(who, []).append(seconds)


def main(argv: list[str]) -> int:
    """Measure and print; 1 when a promise was not kept, 2 when hosts cannot boot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks redeploy", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rtt", type=int, nargs="+", default=[0, 50], help="round trips, in ms (default: 0 50)")
    parser.add_argument("--peers", nargs="+", help="only these: script Ansible pyinfra")
    options = parser.parse_args(argv)
    from sandbox.hosts import HostSet, unavailable_reason

    if reason := unavailable_reason():
        print(f"left out: {reason}")
        return 2
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        hosts = stack.enter_context(HostSet("bench"))
        start_django(scratch / "state")
        hosts.up(max(options.servers))
        for name in ("deploys", "rescue"):
            stack.enter_context(cluster(name))
        bench, missed = _Bench(hosts, scratch, options.peers), 0
        print(f"{METHOD}{options.repeats} of each in turns, after a round that is not counted; medians (least to most)")
        for servers in options.servers:
            bench.use(servers)
            for rtt in options.rtt:
                for block in bench.measure(servers, rtt, options.repeats):
                    missed += report(block)
    return 1 if missed else 0


class _Bench:
    def __init__(self, hosts: "HostSet", scratch: Path, peers: list[str] | None) -> None:
        from benchmarks.tree import write_tree
        from deployments.core.actors import shell_actor
        from deployments.models import Environment

        self.hosts, self.actor = hosts, shell_actor("bench")
        self.tree, self.number = scratch / "tree", 0
        write_tree(self.tree, APPLICATION, PORT)
        self.environment = Environment.objects.get(name="test")
        self.release, self.first = self._next()
        self.peers = Peers(hosts, scratch, self.tree)
        self.names = [name for name in self.peers.names if peers is None or name in peers]

    def use(self, servers: int) -> None:
        """Enrol and provision up to `servers`, and have everybody's first release on them."""
        for number in range(self.environment.servers.count() + 1, servers + 1):
            one_more_server(
                self.hosts.host(number), self.hosts.bootstrap_key, actor=self.actor, environment=self.environment,
                name=f"bench-{number}", release=self.release,
            )  # fmt: skip
        self.release, self.first = self._next()
        self._deploy(self.release)
        for name in self.names:
            self.peers.deploy(name, servers, self.first)

    def measure(self, servers: int, rtt: int, repeats: int) -> list[Block]:
        """Redeployments to a new version and rollbacks from it, everybody in turn; the first round is not counted."""
        for number in range(1, servers + 1):
            self.hosts.host(number).latency(rtt)
        redeploy, rollback = Block("redeploy", servers, rtt), Block("rollback", servers, rtt)
        for turn in range(repeats + 1):
            release, version = self._next()
            forth = {name: self.peers.deploy(name, servers, version) for name in self.names}
            there = self._deploy(release)
            forth[FLOOR] = self._floor(version)
            back = {name: self.peers.deploy(name, servers, self.first, back=True) for name in self.names}
            back[FLOOR] = forth[FLOOR]
            for block, seconds, ours in ((redeploy, forth, there), (rollback, back, self._roll_back())):
                if turn:
                    self._note(block, seconds, ours)
        for number in range(1, servers + 1):
            self.hosts.host(number).clear()
        return [redeploy, rollback]

    @staticmethod
    def _note(block: Block, peers: dict[str, float], ours: "Deployment") -> None:
        from deployments.execution.spans import spans

        assert ours.started_at is not None, "it has been verified"
        assert ours.verified_at is not None, "it has been verified"
        block.add(CLAIM, (ours.verified_at - ours.started_at).total_seconds())
        block.add(REQUEST, (ours.verified_at - ours.requested_at).total_seconds())
        for name, seconds in peers.items():
            block.add(name, seconds)
        for span in spans(ours):
            block.spans.setdefault(span.what, []).append(span.seconds)

    def _floor(self, version: str) -> float:
        """Seconds that a server's own restart of our unit takes, with the wait that everybody has."""
        wait = WAIT.format(port=PORT, version=version, samples=SAMPLES, interval=INTERVAL)
        script = f"a=$(date +%s%N); systemctl restart {APPLICATION}.service; ({wait}) && echo $(($(date +%s%N) - a))"
        return int(self.hosts.host(1).root(["sh", "-c", script]).stdout) / 1e9

    def _next(self) -> "tuple[Release, str]":
        """The tree's next version, in which five files differ, built; and what it is called."""
        from benchmarks.tree import next_version
        from deployments.releases.builds import build_release

        self.number += 1
        version = next_version(self.tree, self.number)
        return build_release(actor=self.actor, source=self.tree, ref=None)[0], version

    def _deploy(self, release: "Release") -> "Deployment":
        from deployments.requests.requests import request_deployment

        self.environment.refresh_from_db()
        return ended(
            request_deployment(actor=self.actor, release=release, environment=self.environment, reason="measured")
        )

    def _roll_back(self) -> "Deployment":
        from deployments.requests.rollbacks import request_rollback

        self.environment.refresh_from_db()
        return ended(request_rollback(actor=self.actor, environment=self.environment, reason="measured"))


def ended(deployment: "Deployment", seconds: float = 120) -> "Deployment":
    """The deployment once it has succeeded; SystemExit when it did not, or takes longer than `seconds`."""
    ends = time.monotonic() + seconds
    while not deployment.ended:
        if time.monotonic() > ends:
            raise SystemExit(f"deployment {deployment.pk} is still {deployment.status}")
        time.sleep(0.02)
        deployment.refresh_from_db()
    if deployment.status != "succeeded":
        raise SystemExit(f"deployment {deployment.pk}: {deployment.status}: {deployment.sentence}")
    return deployment


def report(block: Block) -> int:
    """Print a block, and return how many promises were not kept."""
    print(f"{block.what}, {block.servers} server{'s' if block.servers > 1 else ''}, {block.rtt} ms", flush=True)
    ours, missed = {who: median(block.took[who]) for who in (CLAIM, REQUEST)}, 0
    for who, samples in block.took.items():
        line = f"  {who:24} {median(samples):7.3f} s  ({min(samples):.3f} to {max(samples):.3f})"
        if who not in ours:
            line += "  ours:"
            for name, middle in ours.items():
                ratio = middle / median(samples)
                most = PROMISES.get((block.what, who, name), {}).get(block.servers)
                bad = most is not None and ratio > most
                missed += bad
                line += f" {name.rpartition(' ')[2]} {ratio:.2f} ×{f' MISSED: at most {most:.2f}' if bad else ''}"
        print(line)
    if block.servers == 1:
        beyond = {who: median(took) - median(block.took[FLOOR]) for who, took in block.took.items()}
        told = {who: seconds for who, seconds in beyond.items() if who not in (REQUEST, FLOOR)}
        parts = (f"{who.partition(',')[0]} {seconds:.3f}" for who, seconds in told.items())
        print("  beyond restart and wait, which all have: " + ", ".join(parts))
    longest = max(block.spans.get("waits for a worker", [0.0]))
    print("  where it goes: " + ", ".join(f"{what} {median(took):.3f}" for what, took in block.spans.items()))
    print(f"  the longest wait for a worker: {longest:.3f} s")
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
