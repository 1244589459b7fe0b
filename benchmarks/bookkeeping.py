"""What a deployment costs at the portal, whatever its servers do: the wait for a worker, and statements.

    python -m benchmarks bookkeeping [--repeats 40]

Promised: 95 of 100 deployments are taken up within 0.3 s, through a task cluster as in production; a deployment to
eight servers takes at most 120 statements. The servers are played from a script: it needs neither root nor systemd.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.processes import cluster, start_django
from benchmarks.results import METHOD

if TYPE_CHECKING:  # Django is not ready when this is imported
    from tests.deployments.execution.conftest import Scene

SERVERS = ("two", "three", "four", "five", "six", "seven", "eight")
PICKUP_SECONDS, STATEMENTS = 0.3, 120


def main(argv: Sequence[str] = ()) -> int:
    """Measure and print; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks bookkeeping", description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args(argv)
    print(
        f"{METHOD}{options.repeats} deployments to one server, one after the other; then 3 to eight, the fewest counts"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start_django(Path(folder) / "state")
        scene = one_server(Path(folder))
        try:
            waits = _waits(scene, options.repeats)
            scene.add(*SERVERS)
            statements = min(_statements(scene) for _ in range(3))
        finally:
            scene.close()
    slow = quantiles(waits, n=20, method="inclusive")[-1]
    print(f"taken up by a worker    {median(waits):.3f} s  (95 of 100 within {slow:.3f} s, promised {PICKUP_SECONDS})")
    print(f"eight servers           {statements} statements  (promised {STATEMENTS})")
    return int(slow > PICKUP_SECONDS or statements > STATEMENTS)


def one_server(folder: Path) -> "Scene":
    """A server that runs nothing, two releases for it, nobody asked yet."""
    from deployments.core.actors import shell_actor
    from tests.deployments.execution.conftest import Scene, home_with_key, two_releases

    scene = Scene(home_with_key(), {}, two_releases(folder), shell_actor("bench"), folder)
    scene.add("one")
    return scene


def _waits(scene: "Scene", repeats: int) -> list[float]:
    """Seconds from the queue to a worker, of deployments with nobody before them; the first one starts the worker."""
    found = []
    with cluster("deploys"):
        for turn in range(repeats + 1):
            row = scene.ask(turn % 2)
            ends = time.monotonic() + 60
            while not row.ended:
                if time.monotonic() > ends:
                    raise SystemExit(f"deployment {row.pk} is still {row.status}")
                time.sleep(0.02)
                row.refresh_from_db()
            if row.status != "succeeded" or row.started_at is None or row.queued_at is None:
                raise SystemExit(f"deployment {row.pk}: {row.status}: {row.sentence}")
            found.append((row.started_at - row.queued_at).total_seconds())
    return found[1:]


def _statements(scene: "Scene") -> int:
    """Of one deployment to all, carried out here."""
    from deployments.execution.run import execute
    from tests.fixtures.statements import counted

    row = scene.ask(1 if scene.home.deployments.count() % 2 else 0)
    with counted() as found:
        execute(row.pk)
    return sum(found.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
