"""Fifty servers in batches of ten after the canary, through a task cluster as in production: what the portal adds.

The servers are played on this machine, so the seconds are mostly theirs; the ratio tells what the portal needs between
and beside its rounds, and the memory is the worker's alone, also when everything is sent to ten servers side by side.
"""

import argparse
import contextlib
import re
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.processes import cluster, start_django
from benchmarks.redeploy import ended
from benchmarks.results import METHOD

if TYPE_CHECKING:  # Django is not ready when this is imported
    from deployments.models import Deployment
    from tests.fixtures.scripted_server import ScriptedHost

NAME, PORT = "bench-bot", 8101
MOST_MB, MOST_RATIO = 200, 1.3


def main(argv: list[str]) -> int:
    """Deploy to all of them, several times, and print; 1 when the promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fleet", description=__doc__)
    parser.add_argument("--servers", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3, help="deployments, the first of which sends everything")
    options = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        start_django(scratch / "state")
        for number in range(options.servers):
            stack.callback(_server(scratch / f"server-{number:02}", number).close)
        stack.enter_context(cluster("deploys"))
        print(
            f"{METHOD}{options.repeats} deployments to {options.servers} servers, the first of which sends everything"
        )
        found = [_measure(scratch / "tree", number) for number in range(options.repeats)]
    memory, ratio = found[-1][0], median(ratio for _, ratio in found)
    missed = [memory >= MOST_MB, ratio > MOST_RATIO]
    print(f"the worker's memory at its highest  {memory:.0f} MB (promised {MOST_MB}){' MISSED' * missed[0]}")
    print(f"deployment, beside its rounds alone  {ratio:.2f} × (promised {MOST_RATIO}){' MISSED' * missed[1]}")
    return int(any(missed))


def _server(directory: Path, number: int) -> "ScriptedHost":
    """One more server of the environment `test`."""
    from deployments.models import Environment, Server
    from engine.ssh.keys import generate_key
    from tests.fixtures.scripted_server import ScriptedHost

    home = Environment.objects.get(name="test")
    if not home.private_key:
        home.private_key, home.public_key = generate_key("bench")
        home.save()
    directory.mkdir()
    host = ScriptedHost(directory, NAME, (f"{NAME}.service",))
    Server.objects.create(
        name=directory.name, environment=home, order=number, host="127.0.0.1", port=host.port, roles=["bot"],
        host_key=host.host_key, fingerprint="SHA256:" + "a" * 43, state=Server.State.PROVISIONED,
    )  # fmt: skip
    return host


def _measure(tree: Path, number: int) -> tuple[float, float]:
    """Deploy the tree's next version; the highest memory of the worker so far (MB), and claim to end in its rounds."""
    from benchmarks.tree import next_version, write_tree
    from deployments.core.actors import shell_actor
    from deployments.models import Environment
    from deployments.releases.builds import build_release
    from deployments.requests.requests import request_deployment

    if number:
        next_version(tree, number)
    else:
        write_tree(tree, NAME, PORT)
        settings = tree / "deploy.toml"  # nothing serves there: the units are played
        settings.write_text(settings.read_text().partition("[roles.bot.health]")[0] + "[environments.test]\n")
    actor = shell_actor("bench")
    release, _ = build_release(actor=actor, source=tree, ref=None)
    home = Environment.objects.get(name="test")
    row = ended(request_deployment(actor=actor, release=release, environment=home, reason="measured"), seconds=600)
    memory, rounds = _highest(row), _rounds(row)
    seconds = row.seconds or 0.0
    print(f"deployment {number + 1}: {seconds:.1f} s, its {len(rounds)} rounds {sum(rounds):.1f} s", flush=True)
    return memory, seconds / sum(rounds)


def _rounds(row: "Deployment") -> list[float]:
    """Seconds of each round, from the first of its servers that began to the last that ended."""
    targets = {target.server.name: target for target in row.targets.select_related("server")}
    found = []
    for group in row.sealed.rounds:
        mine = [targets[each.server] for each in group]
        begun = min(target.started_at for target in mine if target.started_at)
        over = max(target.finished_at for target in mine if target.finished_at)
        found.append((over - begun).total_seconds())
    return found


def _highest(row: "Deployment") -> float:
    """Of the process that carried it out, as Linux counts it (VmHWM)."""
    status = Path(f"/proc/{row.worker.rpartition(':')[2]}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, status
    return int(found[1]) / 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
