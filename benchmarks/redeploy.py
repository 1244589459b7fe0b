"""Redeployment and rollback beside a bare ssh+rsync script: same hosts, same tree, same proof, one run.

Ours is measured from claim to verified, from the record, in a warm worker process; the script is the wall time of a
cold command line, as in the peers' measurements. Only the ratios mean something.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Django is not ready when this is imported
    from deployments.models import Deployment, Release
    from sandbox.hosts import HostSet

APPLICATION, PEER, PORT, PEER_PORT = "bench-bot", "peer-bot", 8101, 8102
SAMPLES, INTERVAL = 3, 0.1
TARGET_REDEPLOY = {1: 1.0, 4: 1.0}
PEER_SCRIPT = Path(__file__).with_name("peer.sh")


@dataclass
class Row:
    """One line of the table; seconds are medians."""

    what: str
    servers: int
    rtt: int
    ours: list[float]
    peer: list[float]

    @property
    def ratio(self) -> float:
        """Ours to theirs."""
        return statistics.median(self.ours) / statistics.median(self.peer)


def main(argv: list[str]) -> int:
    """Measure and print; 1 when a promise was not kept, 2 when hosts cannot boot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redeploy", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args(argv)
    from sandbox.hosts import HostSet, unavailable_reason

    if reason := unavailable_reason():
        print(f"left out: {reason}")
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, HostSet("bench") as hosts:
        _django(Path(scratch) / "state")
        hosts.up(max(options.servers))
        bench = _Bench(hosts, Path(scratch))
        rows = []
        for servers in options.servers:
            bench.use(servers)
            for rtt in (0, 50):
                rows += bench.measure(servers, rtt, options.repeats)
    return _report(rows)


def _django(state: Path) -> None:
    os.environ.update({"PORTAL_STATE_DIR": str(state), "DJANGO_SETTINGS_MODULE": "portal.settings"})
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


class _Bench:
    def __init__(self, hosts: "HostSet", scratch: Path) -> None:
        from benchmarks.tree import write_tree
        from deployments.core.actors import shell_actor
        from deployments.models import Environment

        self.hosts, self.scratch, self.actor = hosts, scratch, shell_actor("bench")
        self.tree, self.number = scratch / "tree", 0
        write_tree(self.tree, APPLICATION, PORT)
        self.environment = Environment.objects.get(name="test")
        self.release = self._build()
        self._prepare_peer()

    def use(self, servers: int) -> None:
        """Enrol and provision up to `servers`, and deploy the first release to them."""
        from deployments.servers.enrolment import enrol_server
        from deployments.servers.provisioning import provision_server
        from engine.ssh.keys import PrivateKey

        key = PrivateKey(Path(self.hosts.bootstrap_key).read_text())
        for number in range(self.environment.servers.count() + 1, servers + 1):
            machine = self.hosts.host(number)
            server = enrol_server(
                actor=self.actor,
                name=f"bench-{number}",
                environment=self.environment,
                host=machine.address,
                port=22,
                user="rosey",
                roles=["bot"],
                fingerprint=machine.fingerprint,
                confirm=lambda *_: False,
            )
            provision_server(
                actor=self.actor, server=server, release=self.release, bootstrap_user="root", bootstrap_key=key
            )
        self.environment.refresh_from_db()
        self._deploy(self.release)
        self._peer(servers, (self.tree / "VERSION").read_text().strip())

    def measure(self, servers: int, rtt: int, repeats: int) -> list[Row]:
        """Redeployments and rollbacks of both, in turn."""
        from benchmarks.tree import next_version

        for number in range(1, servers + 1):
            self.hosts.host(number).latency(rtt)
        redeploy, rollback = Row("redeploy", servers, rtt, [], []), Row("rollback", servers, rtt, [], [])
        before = (self.tree / "VERSION").read_text().strip()
        for _ in range(repeats):
            self.number += 1
            version = next_version(self.tree, self.number)
            redeploy.peer.append(self._peer(servers, version))
            redeploy.ours.append(self._deploy(self._build()))
            rollback.peer.append(self._peer(servers, before, back=True))
            rollback.ours.append(self._roll_back())
            self._peer(servers, version, back=True)
            self._deploy_again()
            before = version
        for number in range(1, servers + 1):
            self.hosts.host(number).clear()
        return [redeploy, rollback]

    def _build(self) -> "Release":
        from deployments.releases.builds import build_release

        return build_release(actor=self.actor, source=self.tree, ref=None)[0]

    def _deploy(self, release: "Release") -> float:
        from deployments.requests.requests import request_deployment

        self.environment.refresh_from_db()
        self.newest = release
        return self._run(
            request_deployment(actor=self.actor, release=release, environment=self.environment, reason="measured")
        )

    def _deploy_again(self) -> None:
        self.newest.refresh_from_db()
        self._deploy(self.newest)

    def _roll_back(self) -> float:
        from deployments.requests.rollbacks import request_rollback

        self.environment.refresh_from_db()
        return self._run(request_rollback(actor=self.actor, environment=self.environment, reason="measured"))

    def _run(self, deployment: "Deployment") -> float:
        from deployments.execution.run import execute

        execute(deployment.pk)
        deployment.refresh_from_db()
        if deployment.status != "succeeded":
            raise SystemExit(f"deployment {deployment.pk}: {deployment.status}: {deployment.sentence}")
        assert deployment.seconds is not None, "it has ended"
        return deployment.seconds

    def _prepare_peer(self) -> None:
        """The script's own service beside ours: same tree, same unit, its own port."""
        from benchmarks.tree import UNIT

        known = []
        public = Path(f"{self.hosts.bootstrap_key}.pub").read_text()
        for number in range(1, 1 + len(self.hosts.hosts)):
            machine = self.hosts.host(number)
            known.append(f"{machine.address} {machine.host_key}")
            unit = UNIT.format(name=PEER, port=PEER_PORT)
            rule = f"rosey ALL=(root) NOPASSWD: /usr/bin/systemctl restart {PEER}.service\n"
            script = f"""
                set -e
                id rosey >/dev/null 2>&1 || useradd -m -s /bin/bash rosey
                useradd -r {PEER}; mkdir -p /opt/{PEER}/releases /home/rosey/.ssh
                chown -R rosey:rosey /opt/{PEER} /home/rosey
                cat > /etc/systemd/system/{PEER}.service <<'UNIT'\n{unit}\nUNIT
                printf '%s' '{rule}' > /etc/sudoers.d/peer; chmod 440 /etc/sudoers.d/peer
                cd /home/rosey/.ssh; printf '%s' '{public}' >> authorized_keys; chown rosey: authorized_keys
                systemctl daemon-reload
            """
            machine.root(["sh", "-c", script])
        self.known_hosts = self.scratch / "known_hosts"
        self.known_hosts.write_text("\n".join(known) + "\n")

    def _peer(self, servers: int, version: str, *, back: bool = False) -> float:
        addresses = [self.hosts.host(number).address for number in range(1, servers + 1)]
        command = [
            *(str(PEER_SCRIPT), PEER, str(PEER_PORT), str(self.tree), version),
            *(str(self.hosts.bootstrap_key), str(self.known_hosts), str(SAMPLES), str(INTERVAL)),
            *(["--back"] if back else []),
            "--",
            *addresses,
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - started


def _report(rows: list[Row]) -> int:
    print(f"{'':10} {'servers':>7} {'rtt':>6} {'ours':>8} {'script':>8} {'ratio':>6}   (medians, s)")
    missed = 0
    for row in rows:
        target = TARGET_REDEPLOY[row.servers] if row.what == "redeploy" else None
        verdict = ""
        if target is not None and row.ratio > target:
            verdict, missed = f"  MISSED: at most {target:g}", missed + 1
        print(
            f"{row.what:10} {row.servers:>7} {row.rtt:>3} ms {statistics.median(row.ours):>8.3f} "
            f"{statistics.median(row.peer):>8.3f} {row.ratio:>5.2f}×{verdict}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
