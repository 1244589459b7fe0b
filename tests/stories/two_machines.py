"""Two machines of one portal, as docs/scaling.md sets them up: a PostgreSQL and artifacts that they share, clocks that
they do not. One is ten minutes ahead and the other ten behind; the tests' own process is a third, whose clock is right.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deployments.lifecycle import Status
from deployments.models import Deployment, Release
from tests.fixtures.fleet import Provisioned
from tests.stories.faults import CUT_SECONDS, Fault, database_gone, link_cut, worker_killed
from tests.stories.running import GO, deadlines, go_on, shell, wait_for
from tests.stories.world import ROOT, World

CLOCKS = {"one": 600, "two": -600}
"""Seconds that a machine's clock is ahead."""
RUNS = "/tmp/runs"
COUNTED = f"echo run >> {RUNS}; {GO}"
"""A rehearsal that goes on when the test says so, and counts how often it was come to."""
REAP_EVERY = 2.0
PATIENT = deadlines(preflight=60, activate=60, restart=60, verify=60)
"""What strikes starts programs, which may take longer on a busy machine than a step has as a rule."""


class TwoMachines(World):
    """Their clusters are called `deploys one`, `rescue two` …; each settles what the other left."""

    CLUSTERS = tuple(f"{cluster} {machine}" for machine in CLOCKS for cluster in ("deploys", "rescue"))

    def __init__(self, provisioned: Provisioned, directory: Path) -> None:
        super().__init__(provisioned, directory, "postgres")
        self._clock = directory / "wrong_clock.so"
        source = Path(__file__).with_name("wrong_clock.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-o", self._clock, source, "-ldl"], check=True)
        (directory / "artifacts").mkdir()
        for machine in CLOCKS:
            (directory / machine).mkdir()
            self.give_artifacts(machine)
        self.stopped: list[int] = []
        self._turns = itertools.cycle(CLOCKS)

    def _environment_of(self, cluster: str) -> dict[str, str]:
        name, machine = cluster.split()
        return self.environment_on(machine) | {"Q_CLUSTER_NAME": name}

    def environment_on(self, machine: str) -> dict[str, str]:
        """What a process of the portal is given on this machine."""
        clock = {"LD_PRELOAD": str(self._clock), "CLOCK_AHEAD": str(CLOCKS[machine])}
        return self._environment() | {"PORTAL_STATE_DIR": str(self.directory / machine)} | clock

    def run_on(self, machine: str, *command: str, **others: str) -> "subprocess.CompletedProcess[str]":
        """A program of Python's there, which ends."""
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=self.environment_on(machine) | others, capture_output=True,
            text=True, timeout=100, check=False,
        )  # fmt: skip

    def release(self, version: str, change: Callable[[Path], None] = PATIENT) -> Release:
        """With time enough for every step."""
        return super().release(version, change)

    def give_artifacts(self, machine: str) -> None:
        """Mount the shared directory there."""
        (self.directory / machine / "artifacts").symlink_to(self.directory / "artifacts")

    def take_artifacts(self, machine: str) -> None:
        """It is not mounted there, and an empty directory in its place."""
        (self.directory / machine / "artifacts").unlink(missing_ok=True)

    def machine_of(self, deployment: Deployment) -> str:
        """The machine whose worker has it."""
        group = os.getpgid(int(deployment.worker.rpartition(":")[2]))
        return next(name.split()[1] for name, cluster in self._clusters.items() if cluster.pid == group)

    def said(self, cluster: str) -> str:
        """What a cluster has written into its log."""
        return (self.directory / f"{cluster}.log").read_text()

    def until_ended(self, deployment: Deployment, deadline: float = 150.0) -> Deployment:
        """Wait for its end; the reapers of both machines come by in turn, more often than every minute."""
        reap_at = time.monotonic() + REAP_EVERY

        def ended() -> bool:
            nonlocal reap_at
            if time.monotonic() >= reap_at:
                self.run_on(next(self._turns), "manage.py", "reap")
                reap_at = time.monotonic() + REAP_EVERY
            deployment.refresh_from_db()
            return deployment.ended

        wait_for(ended, f"deployment {deployment.pk} to end\n{self.logs()}", deadline=deadline)
        return deployment

    def calm(self) -> None:
        """Also what was stopped goes on, and every machine has the artifacts."""
        while self.stopped:
            os.kill(self.stopped.pop(), signal.SIGCONT)
        for machine in CLOCKS:
            self.take_artifacts(machine)
            self.give_artifacts(machine)
        shell(self.machine, f"rm -f {RUNS}")
        super().calm()


def machine_off(world: World, deployment: Deployment) -> None:
    """The machine that has it loses power: every cluster of it is gone."""
    assert isinstance(world, TwoMachines)
    machine = world.machine_of(deployment)
    for name in world.CLUSTERS:
        if name.endswith(machine):
            world.kill_cluster(name)
    world.let_lease_run_out(deployment)
    go_on(world.machine)


def worker_stopped(world: World, deployment: Deployment) -> None:
    """The worker that has it stands still until it has ended, and then goes on as if nothing had been."""
    assert isinstance(world, TwoMachines)
    pid = int(deployment.worker.rpartition(":")[2])
    os.kill(pid, signal.SIGSTOP)
    world.stopped.append(pid)
    world.let_lease_run_out(deployment)
    go_on(world.machine)


def reapers_come(world: World, deployment: Deployment) -> None:
    """Both machines look whether its worker is alive, each by its own clock."""
    assert isinstance(world, TwoMachines)
    for machine in CLOCKS:
        done = world.run_on(machine, "manage.py", "reap")
        assert done.stdout.strip() == "Nothing to settle.", f"{machine}: {done.stdout}{done.stderr}"
    go_on(world.machine)


def other_keys(world: World, deployment: Deployment) -> None:
    """Somebody starts the clusters of a machine with keys of its own."""
    assert isinstance(world, TwoMachines)
    refused = world.run_on("two", "manage.py", "qcluster", PORTAL_SECRET_KEY="another" * 8, Q_CLUSTER_NAME="deploys")
    assert refused.returncode == 1, refused.stdout
    assert refused.stderr.startswith("This process has other keys than the portal whose database it uses")
    go_on(world.machine)


CHAOS = {
    fault.name: fault
    for fault in (
        Fault("worker SIGKILL", worker_killed, COUNTED, goes_on=True),
        Fault("worker SIGSTOP", worker_stopped, COUNTED, goes_on=True),
        Fault("machine off", machine_off, COUNTED, goes_on=True),
        Fault(f"link cut for {CUT_SECONDS:g} s", link_cut, COUNTED, goes_on=True),
        Fault("database restarted", database_gone, COUNTED, goes_on=True),
        Fault("reapers with wrong clocks", reapers_come, COUNTED, goes_on=True),
        Fault("other keys", other_keys, COUNTED, goes_on=True),
    )
}
WORKER_STRUCK = ("worker SIGKILL", "worker SIGSTOP", "machine off")
"""After which alone it is true that a worker ended before its deployment did."""
NO_ARTIFACT = "no artifact on one machine"


def with_one_machine_lacking_it(world: TwoMachines, machine: str) -> Deployment:
    """A deployment that only a machine without its artifact finds at first: it leaves it to the other one."""
    other = next(name for name in CLOCKS if name != machine)
    world.kill_cluster(f"deploys {other}")
    new = world.another()
    world.take_artifacts(machine)
    before = len(world.said(f"deploys {machine}"))
    deployment = world.fleet.request(new)
    left = f"deployment {deployment.pk} is left to another worker"
    wait_for(lambda: left in world.said(f"deploys {machine}")[before:], f"{machine} to leave it\n{world.logs()}")
    deployment.refresh_from_db()
    assert deployment.status == Status.QUEUED, deployment.sentence
    world.start_cluster(f"deploys {other}")
    return world.until_ended(deployment)
