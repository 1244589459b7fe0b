"""Looking at what a workflow did to a server."""

import json
from typing import Any

from sandbox.hosts import Host
from tests.fixtures.fleet import TREE


def version_on(machine: Host) -> str:
    """The version that the host's `current` leads to; empty when there is none."""
    done = machine.root(["readlink", f"{TREE}/current"], check=False)
    return done.stdout.decode().strip().removeprefix("releases/").rpartition("-")[0]


def journal(machine: Host) -> list[dict[str, Any]]:
    """What the server remembers."""
    done = machine.root(["cat", f"{TREE}/.deploy/journal.jsonl"], check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def runs(machine: Host) -> list[dict[str, Any]]:
    """The first record of every run."""
    return [record for record in journal(machine) if record["kind"] == "run"]


def logins(machine: Host) -> int:
    """How many times somebody was let in over ssh since it booted."""
    done = machine.root(["journalctl", "--unit", "ssh", "--grep", "Accepted", "--output", "cat"], check=False)
    return len(done.stdout.splitlines())
