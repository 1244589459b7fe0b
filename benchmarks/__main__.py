"""`make bench`: every measurement, one after the other; 1 when a promise was not kept or a ratio got worse.

All of them together are kept as a file in benchmarks/results, and docs/performance.md is written from it; named ones
(`make bench ARGS=agent_start`), or the short ones (`make bench ARGS=--short`, as CI does), are compared with the last
run that was kept, and leave nothing. What got worse is measured again: only what is worse twice is a regression.
Options behind the name of one measurement are its own (`make bench ARGS="redeploy --servers 4 --rtt 0"`); what it
prints then is compared with nothing, because it is of something else.
"""

import contextlib
import importlib
import io
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.results import PAGE, Measured, keep, kept, machine, page, worse

SHORT = ("agent_start", "health_proxy")
"""Without servers, in about a minute, and steady on a machine that others use."""
MEASUREMENTS = ("agent_start", "redeploy", "rollback", "bot_day", "health_proxy", "dashboard", "growth")


class _Tee(io.StringIO):
    """What is printed goes to the terminal and is kept."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)  # type: ignore[union-attr]  # a program of the shell has one
        sys.__stdout__.flush()  # type: ignore[union-attr]  # see above
        return super().write(text)


def main(argv: list[str]) -> int:
    """Run the named measurements, or all; 2 for words that name none."""
    named = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    if argv != ["--short"] and (why := _not_understood(named, argv)):
        print(why, file=sys.stderr)
        return 2
    if named and named != argv:
        return measure(named[0], argv[1:]).code
    names = named or (SHORT if argv else MEASUREMENTS)
    about, before = machine(), kept()
    measured = [measure(name) for name in names]
    if not before:
        print("Nothing was kept to compare with.")
    grown = regressions(before[-1], measured, measure) if before else []
    print("\n".join(grown))
    if not argv:
        print(f"kept in {keep(about, measured)}")
        PAGE.write_text(page(kept()[-1]))
    return max([1 if grown else 0, *(one.code for one in measured)])


def _not_understood(named: Sequence[str], argv: Sequence[str]) -> str:
    """Why these words cannot be measured, in a sentence; empty when they can."""
    if unknown := [name for name in named if name not in MEASUREMENTS]:
        return f"There is no measurement {', '.join(unknown)}: there are {', '.join(MEASUREMENTS)}."
    if len(named) != len(argv) and len(named) != 1:
        return f"{argv[len(named)]} belongs to one measurement: put its name alone before it."
    return ""


def measure(name: str, options: Sequence[str] = ()) -> Measured:
    """Run one; what breaks off is a promise that was not kept, and the others are measured all the same."""
    print(f"\n== {name}", flush=True)
    began, said = time.monotonic(), _Tee()
    with contextlib.redirect_stdout(said):
        try:
            code = importlib.import_module(f"benchmarks.{name}").main(list(options))
        except (Exception, SystemExit) as error:  # noqa: BLE001  (minutes of measuring were before it)
            print(f"It broke off: {type(error).__name__}: {error}")
            code = 1
    return Measured(name, code, round(time.monotonic() - began, 1), said.getvalue().splitlines())


def regressions(before: dict[str, Any], measured: Sequence[Measured], again: Callable[[str], Measured]) -> list[str]:
    """Sentences for ratios that are worse than `before`, and still are when they are measured `again`."""
    grown = worse(before, {"measured": [vars(one) for one in measured]})
    names = dict.fromkeys(line.partition(":")[0] for line in grown)
    twice = worse(before, {"measured": [vars(again(name)) for name in names]})
    kept_up = {line.partition(" was ")[0] for line in grown}
    return [line for line in twice if line.partition(" was ")[0] in kept_up]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
