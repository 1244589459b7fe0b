"""Tries mutants of the rules on their promtool cases, and writes the table of docs/tests.md.

`python -m tests.monitoring.mutation [--write]`: all of them, about two minutes on two cores; names every survivor.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring import mutants, rules
from tests.monitoring.mutants import EQUIVALENT, OPERATORS, Mutant

PAGE = rules.ROOT.parent / "docs" / "tests.md"
BEGIN, END = "<!-- mutants of the rules -->\n", "<!-- end -->\n"


class Stillborn(Exception):
    """Promtool cannot read the mutant: its operator makes nonsense."""


def survivors(tried: Iterable[Mutant]) -> list[Mutant]:
    """Those that no case notices, the equivalent ones left out."""
    live = [mutant for mutant in tried if not mutant.equivalent]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [mutant for mutant, survived in zip(live, pool.map(survives, live), strict=True) if survived]


def survives(mutant: Mutant) -> bool:
    """Whether every case of the rule holds with the mutant in its place. Raises Stillborn."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        return _promtool(mutant, Path(scratch))


def cases_of(mutant: Mutant) -> list[dict[str, Any]]:
    """The tests of its file, as far as they concern its alert."""
    found = []
    for test in yaml.safe_load((rules.ROOT / "tests" / mutant.file).read_text())["tests"]:
        checks = [check for check in test["alert_rule_test"] if check["alertname"] == mutant.alert]
        if checks:
            found.append({**test, "alert_rule_test": checks})
    return found


def _promtool(mutant: Mutant, scratch: Path) -> bool:
    document = yaml.safe_load((rules.ROOT / "tests" / mutant.file).read_text())
    document["rule_files"] = ["rules.yml"]
    document["tests"] = cases_of(mutant)
    (scratch / "rules.yml").write_text(mutants.as_file(mutant))
    (scratch / "cases.yml").write_text(yaml.safe_dump(document))
    done = subprocess.run(
        ["promtool", "test", "rules", str(scratch / "cases.yml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode and f"alertname: {mutant.alert}" not in said and "many-to-many" not in said:
        raise Stillborn(f"{mutant}: {said}")
    return done.returncode == 0


def table(survived: Iterable[Mutant]) -> str:
    """The Markdown between the marks of docs/tests.md."""
    everything = mutants.every()
    all_, same = Counter(m.operator for m in everything), Counter(m.operator for m in everything if m.equivalent)
    left = list(survived)
    alive = Counter(mutant.operator for mutant in left)
    lines = ["| operator | mutants | equivalent | killed | alive |", "|---|---|---|---|---|"]
    for name, meaning in OPERATORS.items():
        killed = all_[name] - same[name] - alive[name]
        lines.append(f"| {name}: {meaning} | {all_[name]} | {same[name]} | {killed} | {alive[name]} |")
    live = len(everything) - sum(same.values())
    share = 100 * (live - len(left)) / live
    lines.append(
        f"| **all** | {len(everything)} | {sum(same.values())} | {live - len(left)} ({share:.1f} %) | {len(left)} |"
    )
    lines += ["", "Equivalent, and why:", ""]
    lines += [f"- {alert}, `{change}`: {reason}" for (alert, change), reason in EQUIVALENT.items()]
    if left:
        lines += ["", "Alive:", "", *(f"- {mutant.alert}, `{mutant.change}`" for mutant in left)]
    return "\n" + "\n".join(lines) + "\n\n"


def written() -> str:
    """The table as it stands in docs/tests.md."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def main(arguments: list[str]) -> int:
    """Try all; 1 when one survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring.mutation", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/tests.md")
    parser.add_argument("--alert", default="", help="only mutants of this alert")
    options = parser.parse_args(arguments)
    left = survivors(mutant for mutant in mutants.every() if options.alert in ("", mutant.alert))
    for mutant in left:
        print(mutant)
    if options.write and not options.alert:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + table(left) + END + rest.partition(END)[2])
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
