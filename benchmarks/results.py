"""What measurements said, kept with the machine they said it on, and docs/performance.md made from that.

`python -m benchmarks.results` writes the page from the latest file in benchmarks/results.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
NOISE = 0.15
"""Ratios differ by so much from run to run on one machine; a worse one is a regression."""
MORE_IS_BETTER = frozenset({"health_proxy"})
_RATIO = re.compile(r"(\d+\.\d+) ?×")


@dataclass(frozen=True)
class Measured:
    """One measurement: what it printed, how long it took, and 0 when its promises were kept."""

    name: str
    code: int
    seconds: float
    lines: list[str]

    @property
    def ratios(self) -> list[float]:
        """Every ratio that it printed, in order: ours against the peer of the same run."""
        return [float(found) for line in self.lines for found in _RATIO.findall(line)]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "memory_mb": int(memory[1]) // 1024 if memory else None,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "commit": commit.stdout.strip(),
    }


def keep(about: dict[str, Any], measured: list[Measured]) -> Path:
    """Write one run as a file of its own, named by its moment."""
    FOLDER.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    path = FOLDER / f"{at:%Y%m%dT%H%M%SZ}.json"
    found = {"at": at.isoformat(timespec="seconds"), "machine": about, "measured": [asdict(one) for one in measured]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return path


def kept() -> list[dict[str, Any]]:
    """Every run that was kept, the oldest first."""
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def worse(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Sentences for ratios that got worse by more than their noise."""
    old = {one["name"]: Measured(**one).ratios for one in before["measured"]}
    found = []
    for one in (Measured(**row) for row in after["measured"]):
        for number, (was, now) in enumerate(zip(old.get(one.name, []), one.ratios, strict=False), start=1):
            if (now < was / (1 + NOISE)) if one.name in MORE_IS_BETTER else (now > was * (1 + NOISE)):
                found.append(f"{one.name}: ratio {number} was {was:.2f} ×, and is {now:.2f} ×")
    return found


def page(run: dict[str, Any]) -> str:
    """docs/performance.md."""
    about = run["machine"]
    lines = [
        "# Performance",
        "",
        "Written by `make bench` from the measurements of one run. Each stands beside its peer in the same run, so",
        "that its *ratio* (×) tells on whatever machine; seconds and milliseconds are this machine's. Medians of",
        f"several rounds that take turns; a ratio worse than in the last run by more than {NOISE:.0%} is a regression.",
        "",
        f"{run['at']}: {about['cpu']}, {about['cores']} cores, {about['memory_mb']} MB, Linux {about['kernel']},",
        f"Python {about['python']}, load {about['load_before']:.1f} before, commit `{about['commit'][:12]}`.",
    ]
    for one in run["measured"]:
        verdict = "promises kept" if one["code"] == 0 else "PROMISES NOT KEPT"
        lines += ["", f"## {one['name']}", "", f"{verdict}; it took {one['seconds']:.0f} s.", ""]
        lines += ["```text", *one["lines"], "```"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page from the latest run."""
    PAGE.write_text(page(kept()[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
