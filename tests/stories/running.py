"""Deployments that run beside the test: held at a moment on the server, carried out on a thread of their own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from deployments.execution.run import execute
from deployments.models import Deployment, LogLine
from engine.host.agent.limits import MOMENTS
from sandbox.hosts import Host
from tests.fixtures.fleet import TREE, UNIT

HOLD = "echo held; exec sleep 600"
"""A rehearsal that never goes on by itself: a step that hangs."""
GO = "echo held; until test -e /tmp/go; do sleep 0.05; done"
"""A rehearsal that goes on when the test says so."""


def rehearse(machine: Host, moment: str, script: str, tree: str = TREE) -> None:
    """Have the agent run `script` before a step (`restart`), or after its work (`restart-end`)."""
    program = f"{tree}/.deploy/rehearsal/{moment}"
    lines = f"mkdir -p $(dirname {program}) && rm -f /tmp/go && cat > {program} && chmod -R 755 $(dirname {program})"
    machine.root(["sh", "-c", lines], input=f"#!/bin/sh\n{script}\n".encode())


def go_on(machine: Host) -> None:
    """Let a run that waits in a `GO` rehearsal continue."""
    machine.root(["touch", "/tmp/go"])


def no_rehearsals(machine: Host, tree: str = TREE) -> None:
    """Let runs on this host pass without stopping."""
    machine.root(["rm", "-rf", f"{tree}/.deploy/rehearsal", "/tmp/go"])


def shell(machine: Host, script: str) -> str:
    """What a line of shell says on the host, asked without the network."""
    return machine.root(["sh", "-c", script], check=False).stdout.decode().strip()


def lock_is_free(machine: Host, tree: str = TREE) -> bool:
    """Whether no agent holds the host's lock."""
    return machine.root(["flock", "-n", f"{tree}/.deploy/lock", "true"], check=False).returncode == 0


def runs(machine: Host) -> str:
    """The release that the running bot says it is, asked on the host itself; empty when nothing answers."""
    ask = (
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8101/status', timeout=10).headers['X-Release'])"
    )
    return shell(machine, f'python3 -c "{ask}" 2>/dev/null')


def rolls(machine: Host) -> int:
    """How many rows the bot's database has."""
    count = "import sqlite3; print(sqlite3.connect('{}').execute('SELECT count(*) FROM rolls').fetchone()[0])"
    return int(shell(machine, f'python3 -c "{count.format(f"{TREE}/shared/data/rolls.db")}"') or -1)


def roll(machine: Host, times: int) -> None:
    """Have the bot write rows."""
    ask = f"import urllib.request as u; [u.urlopen('http://127.0.0.1:8101/roll', data=b'') for _ in range({times})]"
    machine.root(["python3", "-c", ask])


def active(machine: Host) -> str:
    """The state systemd has the bot's unit in."""
    return shell(machine, f"systemctl is-active {UNIT}")


def deadlines(**seconds: float) -> Callable[[Path], None]:
    """A change of a tree that gives steps these deadlines; a hook among them is one that does nothing."""

    def change(tree: Path) -> None:
        text = (tree / "deploy.toml").read_text()
        tables = [
            f'[hooks.{step}]\ncommand = ["true"]\ndeadline = {value}'
            for step, value in seconds.items()
            if step in MOMENTS
        ]
        if rows := [f"{step} = {value}" for step, value in seconds.items() if step not in MOMENTS]:
            tables.append("\n".join(["[deadlines]", *rows]))
        if "verify" in seconds:  # the health check's own timeout has to fit in
            text = text.replace("[roles.bot.health]\n", f"[roles.bot.health]\ntimeout = {seconds['verify']}\n")
        (tree / "deploy.toml").write_text("\n\n".join([text, *tables, ""]))

    return change


def wait_for(condition: Callable[[], object], what: str, *, deadline: float = 60.0) -> None:
    """Until `condition` is true; fails after `deadline` seconds, saying `what` did not come."""
    ends = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < ends, f"waited {deadline:g} s for {what}"
        time.sleep(0.05)


def held(deployment: Deployment) -> bool:
    """Whether the portal has heard that the run waits in its rehearsal."""
    return LogLine.objects.filter(deployment=deployment, stream="rehearsal", text="held").exists()


@contextmanager
def in_background(deployment: Deployment) -> Iterator[threading.Thread]:
    """Carry the deployment out on a thread; at the end of the block it has returned."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            execute(deployment.pk)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work, name=f"worker-{deployment.pk}")
    thread.start()
    try:
        yield thread
    finally:
        thread.join(180)
    assert not thread.is_alive(), "the worker has not returned"
    assert failures == []
    deployment.refresh_from_db()
