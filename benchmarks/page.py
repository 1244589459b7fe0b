"""docs/performance.md, made from what was kept last of each measurement.

    python -m benchmarks.page

Each table says with what method, on what, of which commit and when it was measured; what never was is said to be
missing.
"""

import sys
from collections.abc import Sequence
from datetime import datetime

from benchmarks.results import LEFT_OUT, MEASUREMENTS, NOISE, ROOT, Measured, Run, kept

PAGE = ROOT / "docs" / "performance.md"
HEAD = f"""\
# Performance

Written by `make bench`: each section is what was kept last, with its moment and commit. Ours stands beside its peer in
the same run of a measurement, so that its *ratio* (×) tells on whatever machine; seconds and milliseconds are this
machine's. A ratio that is worse than in the last run by more than {NOISE:.0%}, twice, is a regression and fails CI.
*Load* is the machine's average of a minute, in programs that run or wait for a processor: above the number of cores,
others were in the way.
"""
VERDICTS = ("Every promise was kept.", "**Not every promise was kept.**")


def page(runs: Sequence[Run]) -> str:
    """The whole page, with a section for each measurement that there is; `runs` as they were made."""
    newest = {one.name: (run, one) for run in runs for one in run.measured}
    return "\n".join([HEAD, *(_section(name, newest.get(name)) for name in MEASUREMENTS)])


def _section(name: str, found: tuple[Run, Measured] | None) -> str:
    if found is None:
        return f"## {name}\n\nNot measured yet.\n"
    run, one = found
    if one.code == LEFT_OUT:
        return f"## {name}\n\nNot measured: {' '.join(one.figures)}\n"
    options = f" with `{' '.join(one.options)}`" if one.options else ""
    method = f"Method: {one.method or 'not told'}"
    figures = "\n".join(one.figures)
    words = [f"## {name}", VERDICTS[bool(one.code)], _circumstances(run, one), f"{method}{options}."]
    return "\n\n".join([*words, f"```text\n{figures}\n```\n"])


def _circumstances(run: Run, one: Measured) -> str:
    about, (before, after) = run.machine, one.load
    at = f"{datetime.fromisoformat(one.at):%Y-%m-%d %H:%M} UTC"
    on = f"{about['cores']} × {about['cpu']}, {about['memory_mb']} MB"
    under = f"Linux {about['kernel']}, Python {about['python']}, commit `{about['commit'][:12]}`"
    took = f"it took {one.seconds:.0f} s at a load of {before:.1f} before it and {after:.1f} after"
    return f"Measured {at} on {on}, {under}; {took}."


def write() -> None:
    """Write the page from all that is kept."""
    PAGE.write_text(page(kept()))


def main() -> int:
    """The page anew, from what is kept."""
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
