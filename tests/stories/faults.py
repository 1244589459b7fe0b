"""What can go wrong while a step runs, and how each may end."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from deployments.core.actors import shell_actor
from deployments.lifecycle import Status
from deployments.models import Deployment
from deployments.requests.cancellation import cancel
from tests.fixtures.fleet import TREE, UNIT
from tests.stories.running import GO, HOLD, go_on, shell, wait_for
from tests.stories.world import World

CUT_SECONDS = 5.0


def worker_killed(world: World, deployment: Deployment) -> None:
    """SIGKILL for the worker process that has it."""
    os.kill(int(deployment.worker.rpartition(":")[2]), signal.SIGKILL)
    world.let_lease_run_out(deployment)
    go_on(world.machine)


def cluster_killed(world: World, deployment: Deployment) -> None:
    """SIGKILL for every process of the cluster; systemd starts it again."""
    world.kill_cluster("deploys")
    world.let_lease_run_out(deployment)
    go_on(world.machine)
    world.start_cluster("deploys")


def link_cut(world: World, deployment: Deployment) -> None:
    """The cable is out for five seconds."""
    world.machine.link(False)
    go_on(world.machine)
    time.sleep(CUT_SECONDS)
    world.machine.link(True)


def link_cut_for_good(world: World, deployment: Deployment) -> None:
    """The cable is out until the agent has acted by itself."""
    world.machine.link(False)
    wait_for(world.lock_is_free, "the agent to act at its deadline", deadline=120)
    world.machine.link(True)


def sshd_killed(world: World, deployment: Deployment) -> None:
    """Every sshd process dies; systemd starts a new one."""
    shell(world.machine, "pkill -KILL -x sshd; systemctl reset-failed ssh; systemctl restart ssh")
    go_on(world.machine)


def agent_killed(world: World, deployment: Deployment) -> None:
    """SIGKILL for the supervisor and its worker at once: neither sees the other one die."""
    owner = json.loads(shell(world.machine, f"cat {TREE}/.deploy/lock"))
    pids = [str(owner["pid"]), str(owner["worker"])]
    world.machine.root(["kill", "-STOP", *pids])
    world.machine.root(["kill", "-KILL", *pids])


def power_cut(world: World, deployment: Deployment) -> None:
    """The server loses power and boots again."""
    world.machine.power_off()
    world.machine.power_on()
    world.machine.wait_ready()


def disk_full(world: World, deployment: Deployment) -> None:
    """Not a byte is left in the tree's file system, until it has ended."""
    world.machine.disk("1K", path=TREE)
    go_on(world.machine)


def step_fails(world: World, deployment: Deployment) -> None:
    """The step's program ends with 1."""
    go_on(world.machine)


def step_hangs(world: World, deployment: Deployment) -> None:
    """The step does not end by itself."""


def database_gone(world: World, deployment: Deployment) -> None:
    """The portal's database cannot be used for five seconds, while the run goes on."""
    connection.close()
    with world.database.away():
        go_on(world.machine)


def cancelled(world: World, deployment: Deployment) -> None:
    """Somebody cancels it."""
    cancel(actor=shell_actor("tester"), deployment=deployment)


def unit_edited(world: World, deployment: Deployment) -> None:
    """Somebody writes other words into the bot's unit file, and has systemd read them."""
    shell(world.machine, f"sed -i 's/^UMask=.*/UMask=0077/' /etc/systemd/system/{UNIT}; systemctl daemon-reload")
    go_on(world.machine)


@dataclass(frozen=True)
class Fault:
    """One kind of fault: what it does, how the run is held until it strikes, whether the run then goes on."""

    name: str
    strike: Callable[[World, Deployment], None]
    script: str = GO
    goes_on: bool = False
    own_end: Status | None = None
    """How it ends when it could stop the run; FAILED or ROLLED_BACK unless something else is said."""

    def allowed(self, step: str) -> set[Status]:
        """How a deployment may end that was struck before the work of `step`."""
        if step in VERIFIED:
            return {Status.SUCCEEDED}
        stopped = Status.ROLLED_BACK if step in ACTIVATED else Status.FAILED
        if self.own_end is not None:
            return {self.own_end}
        if self.name == UNIT_EDITED:  # what the switch finds it puts right; later it is not what was verified
            return {stopped if step in ACTIVATED else Status.SUCCEEDED}
        if self.name == "disk full":  # a link and a line of the journal find room all the same, a copy does not
            return {Status.SUCCEEDED} if step in ("before_activate", "activate", *ACTIVATED) else {Status.FAILED}
        if not self.goes_on:
            return {stopped}
        if step in ("preflight", "stage"):  # files that were still on their way may not arrive
            return {Status.SUCCEEDED, Status.FAILED}
        return {Status.SUCCEEDED}


SWITCH = "unit switch"
"""Within `activate`: `current` is the new release, root has put its unit files, and systemd has not read them."""
ACTIVATED = (SWITCH, "after_activate", "restart", "verify")
"""Moments at which the new release is already current."""
VERIFIED = ("after_success", "prune")
"""Moments at which it stays, whatever happens."""
UNIT_EDITED = "unit file edited"

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("worker SIGKILL", worker_killed, goes_on=True),
        Fault("cluster SIGKILL", cluster_killed, goes_on=True),
        Fault("link cut for 5 s", link_cut, goes_on=True),
        Fault("link cut for good", link_cut_for_good, HOLD),
        Fault("sshd killed", sshd_killed, goes_on=True),
        Fault("agent SIGKILL", agent_killed, HOLD),
        Fault("host power cut", power_cut, HOLD),
        Fault("disk full", disk_full),
        Fault("step exits non-zero", step_fails, f"{GO}; exit 1"),
        Fault("step hangs", step_hangs, HOLD),
        Fault("database gone for 5 s", database_gone, goes_on=True),
        Fault("cancel", cancelled, HOLD, own_end=Status.CANCELLED),
        Fault(UNIT_EDITED, unit_edited, goes_on=True),
    )
}
NEEDS_DEADLINE = ("link cut for good", "step hangs")
