"""Draws mutants of the core, tries each on the tests that reach it, and writes the table of docs/tests.md.

`python -m tests.mutation reach` has coverage remember which test reaches which line; `reach PATH…` adds new tests.
`python -m tests.mutation try [--sample N] [--seed S] [--package P] [--seconds S] [--write]` tries a seeded sample. What
a run did not get to is tried by the next one, as long as the sources are the same.
"""

import argparse
import json
import os
import subprocess
import sys

from tests.mutation.drawing import PACKAGES, SAMPLE, SEED, Drawn, drawn
from tests.mutation.operators import ROOT
from tests.mutation.table import written_into_docs
from tests.mutation.verdicts import Verdicts

STATE = ROOT / ".state" / "mutation"
TESTS = ("engine", "deployments", "alerting", "dashboard", "portal", "stories")
"""Of every room that imports the core: what reaches a line is asked, wherever it stands."""
WITHOUT = "not hosts and not browser and not full"


def main(arguments: list[str]) -> int:
    """Carry out one of the two; 1 when a package is below the floor."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    reaching = acts.add_parser("reach", help="remember which test reaches which line")
    reaching.add_argument("tests", nargs="*", help="add only these to what is remembered")
    trying = acts.add_parser("try", help="try a sample")
    trying.add_argument("--sample", type=int, default=SAMPLE, help="mutants of each package (0: all)")
    trying.add_argument("--seed", default=SEED, help="of the sample")
    trying.add_argument("--package", choices=PACKAGES, action="append", help="only this one; may be given again")
    trying.add_argument("--seconds", type=float, default=420.0, help="begin no mutant after this long")
    trying.add_argument("--write", action="store_true", help="write the table into docs/tests.md")
    options = parser.parse_args(arguments)
    STATE.mkdir(parents=True, exist_ok=True)
    if options.act == "reach":
        return reach(options.tests)
    drawings = [drawn(package, options.sample, STATE, options.seed) for package in options.package or PACKAGES]
    verdicts = tried(drawings, options.seconds)
    for line in verdicts.alive(drawings):
        print(line)
    if options.write:
        written_into_docs(drawings, verdicts)
    return 0 if all(verdicts.enough(drawing) for drawing in drawings) else 1


def reach(added: list[str]) -> int:
    """One pass over the tests that need no servers, with every line's tests remembered; or over some more of them."""
    if not added:
        for old in (*STATE.glob(".coverage*"), STATE / "seconds.json"):
            old.unlink(missing_ok=True)
    tests = added or [f"tests/{each}" for each in TESTS]
    pytest = ["-m", "pytest", "-q", "-p", "tests.mutation.reach", "-p", "no:cacheprovider", "-m", WITHOUT]
    rules = "--rcfile=tests/mutation/coverage.toml"
    done = _program("coverage", "run", rules, *pytest, "-n", "2", "--dist", "loadfile", *tests)
    return _program("coverage", "combine", "-q", "--append", rules) or done


def tried(drawings: list[Drawn], seconds: float) -> Verdicts:
    """The sample's verdicts: those known, and those that a process can find out in this time."""
    verdicts = Verdicts(STATE / "results.jsonl")
    orders = [order for drawing in drawings for order in drawing.orders(verdicts)]
    if not any(order.mutant for order in orders):
        return verdicts
    (STATE / "orders.json").write_text(json.dumps([[order.mutant, order.tests, order.slowest] for order in orders]))
    files = sorted({name.partition("::")[0] for order in orders for name in order.tests})
    _program("pytest", *_PYTEST, *files, seconds=seconds)
    return Verdicts(STATE / "results.jsonl")


_PYTEST = ("-q", "-p", "tests.mutation.trying", "-p", "no:cacheprovider", "-m", WITHOUT, "-n", "0")


def _program(name: str, *arguments: str, seconds: float = 0.0) -> int:
    environment = {
        **os.environ,
        "MUTATION_STATE": str(STATE),
        "MUTATION_SECONDS": str(seconds),
        "COVERAGE_FILE": str(STATE / ".coverage"),
    }
    return subprocess.run([sys.executable, "-m", name, *arguments], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
