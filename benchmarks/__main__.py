"""`make bench`: every measurement, one after the other; 1 when a promise was not kept or a ratio got worse.

All of them together are kept as a file in benchmarks/results as they come, and docs/performance.md is written from what
was kept last of each; so are they with `--small`, each in a form that takes minutes, and so are those that are named
behind `--keep`, since something changed (`make bench ARGS="--keep fleet growth"`). Named without it
(`make bench ARGS=agent_start`), or the short ones (`make bench ARGS=--short`, as CI does), they are compared with the
last that was kept of them, and leave nothing. What got worse is measured again: only what is worse twice is a
regression. Options behind the name of one measurement are its own (`make bench ARGS="redeploy --servers 4 --rtt 0"`);
what it prints then is compared with nothing. Each runs in a process of its own.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks import page
from benchmarks.results import MEASUREMENTS, Measured, Run, begin, kept, last, moment, worse

SHORT = ("agent_start", "health_proxy")
"""Without servers, in about a minute, and steady on a machine that others use."""
INTERRUPTED = 130
PACKAGE = "benchmarks"
"""Where the measurements are, a module each."""


def main(argv: list[str]) -> int:
    """Run the named measurements, or all; 2 for words that name none, 130 when interrupted."""
    if argv in ([], ["--small"]):
        return _kept(MEASUREMENTS if argv else dict.fromkeys(MEASUREMENTS, ()))
    named = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    if argv == ["--short"]:
        return _compared(SHORT, needed=True)
    if argv[:1] == ["--keep"] and (named := argv[1:]) and set(named) <= set(MEASUREMENTS):
        return _kept(dict.fromkeys(named, ()))
    if why := _not_understood(named, argv):
        print(why, file=sys.stderr)
        return 2
    return _compared(named) if named == argv else measure(named[0], argv[1:]).code


def _kept(wanted: Mapping[str, Sequence[str]]) -> int:
    """These, with their options: each is kept, and the page written, as soon as it was measured.

    Who interrupts it loses only the one that ran.
    """
    before, run = kept(), begin()
    try:
        for name, options in wanted.items():
            run.measured.append(measure(name, options))
            print(f"kept in {run.keep()}", flush=True)
            page.write()
        return _verdict(before, run.measured)
    except KeyboardInterrupt:
        print(f"\nInterrupted: {len(run.measured)} of {len(wanted)} are kept.", file=sys.stderr)
        return INTERRUPTED


def _compared(names: Sequence[str], *, needed: bool = False) -> int:
    """These, against the last that was kept of each; 1 for one that is needed and that no kept run has."""
    before, measured = kept(), [measure(name) for name in names]
    alone = [one.name for one in measured if last(before, one.name, one.options) is None]
    if alone:
        print(f"Nothing was kept to compare {', '.join(alone)} with: run `make bench`.")
    return max(int(needed and bool(before) and bool(alone)), _verdict(before, measured))


def _verdict(before: Sequence[Run], measured: Sequence[Measured]) -> int:
    """Say what got worse; 1 for that, and for a promise that was not kept."""
    grown = regressions(before, measured, measure)
    print("\n".join(grown))
    return max([int(bool(grown)), *(one.code for one in measured)])


def _not_understood(named: Sequence[str], argv: Sequence[str]) -> str:
    """Why these words cannot be measured, in a sentence; empty when they can."""
    if unknown := [name for name in named if name not in MEASUREMENTS]:
        return f"There is no measurement {', '.join(unknown)}: there are {', '.join(MEASUREMENTS)}."
    if len(named) != len(argv) and len(named) != 1:
        return f"{argv[len(named)]} belongs to one measurement: put its name alone before it."
    return ""


def measure(name: str, options: Sequence[str] = ()) -> Measured:
    """Run one, and show what it says; what breaks off is a promise that was not kept, and costs the others nothing."""
    print(f"\n== {' '.join([name, *options])}", flush=True)
    at, load, began = moment(), os.getloadavg()[0], time.monotonic()
    code, lines = _alone(name, options)
    loads = [round(each, 2) for each in (load, os.getloadavg()[0])]
    return Measured(name, code, round(time.monotonic() - began, 1), lines, list(options), at, loads)


def _alone(name: str, options: Sequence[str]) -> tuple[int, list[str]]:
    """In a process of its own: its exit code, and what it printed. Ctrl-C reaches both, and it is waited for."""
    lines = []
    command = [sys.executable, "-u", "-m", "benchmarks.alone", f"{PACKAGE}.{name}", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it is a pipe"
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line.rstrip("\n"))
        except KeyboardInterrupt:
            process.communicate()  # it takes down what it has put up
            raise
    if process.returncode < 0:
        lines.append(f"It broke off: killed by signal {-process.returncode}")
        print(lines[-1], flush=True)
    return (process.returncode if process.returncode >= 0 else 1), lines


def regressions(
    before: Sequence[Run], measured: Sequence[Measured], again: Callable[[str, Sequence[str]], Measured]
) -> list[str]:
    """Sentences for ratios that are worse than `before`, and still are when they are measured `again`."""
    found = []
    for one in measured:
        was = last(before, one.name, one.options)
        if was and (once := worse(was, one)):
            twice = worse(was, again(one.name, one.options))
            found += [sentence for label, sentence in twice.items() if label in once]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
