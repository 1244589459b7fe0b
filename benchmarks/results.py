"""What measurements said, kept with the machine they said it on, and compared with what was kept before."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MEASUREMENTS = {
    "redeploy": ("--servers", "1", "--repeats", "3"),
    "rollback": ("--repeats", "3"),
    "agent_start": (),
    "first": ("--repeats", "1"),
    "health_proxy": (),
    "bookkeeping": (),
    "remote_line": (),
    "fleet": ("--servers", "11", "--repeats", "2"),
    "growth": ("--scale", "0.1"),
    "dashboard": (),
    "bot_day": ("--scale", "0.1"),
}
"""What counts most first, each with the options of its small form."""
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks" / "results"
NOISE = 0.15
"""Ratios differ by so much from run to run on one machine; a worse one is a regression."""
MORE_IS_BETTER = frozenset({"health_proxy"})
METHOD = "method: "
"""How the line begins by which a measurement says how often it measured what, and what its figures are."""
LEFT_OUT = 2
"""What a measurement ends with that this machine cannot make."""
_RATIO = re.compile(r"(\d+\.\d+) ?×")


@dataclass(frozen=True)
class Measured:
    """One measurement: what it printed, and 0 when its promises were kept; `load` is the machine's before and after."""

    name: str
    code: int
    seconds: float
    lines: list[str]
    options: list[str] = field(default_factory=list)
    at: str = ""
    load: list[float] = field(default_factory=list)

    @property
    def method(self) -> str:
        """How often it measured what, in its own words."""
        return " ".join(line.removeprefix(METHOD) for line in self.lines if line.startswith(METHOD))

    @property
    def figures(self) -> list[str]:
        """What it printed beside that."""
        return [line for line in self.lines if not line.startswith(METHOD)]

    @property
    def ratios(self) -> dict[str, float]:
        """Every ratio that it printed, ours against a peer of the same run, by the words it stands behind."""
        found: dict[str, float] = {}
        heading, times = "", Counter[str]()
        for line in self.figures:
            here = _RATIO.findall(line)
            if not here and not line.startswith(" "):
                heading = re.split(r":|  ", line)[0]
            label = f"{heading}: {re.split(r'  | [0-9]', line.strip())[0]}".removeprefix(": ")
            for ratio in here:
                times[label] += 1
                found[f"{label} ({times[label]})"] = float(ratio)
        return found


@dataclass
class Run:
    """Measurements one after the other on one machine, kept as they come."""

    at: str
    machine: dict[str, Any]
    measured: list[Measured] = field(default_factory=list)

    def keep(self) -> Path:
        """Write what there is by now into the file of this run, which is named by its moment."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{datetime.fromisoformat(self.at):%Y%m%dT%H%M%SZ}.json"
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        beside.replace(path)
        return path

    @classmethod
    def read(cls, path: Path) -> Run:
        """As it was kept."""
        found = json.loads(path.read_text())
        return cls(found["at"], found["machine"], [Measured(**one) for one in found["measured"]])


def begin() -> Run:
    """A run of now, on this machine, in which nothing is measured yet."""
    return Run(moment(), machine())


def moment() -> str:
    """This moment, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
        "commit": commit.stdout.strip(),
    }


def kept() -> list[Run]:
    """Every run that was kept, the oldest first."""
    return [Run.read(path) for path in sorted(FOLDER.glob("*.json"))]


def last(runs: Sequence[Run], name: str, options: Sequence[str]) -> Measured | None:
    """The newest of these that measured this, with these options and to its end."""
    return next(
        (
            one
            for run in reversed(runs)
            for one in run.measured
            if one.name == name and one.options == list(options) and one.ratios
        ),
        None,
    )


def worse(before: Measured, after: Measured) -> dict[str, str]:
    """A sentence for each ratio that got worse by more than its noise."""
    found = {}
    for label, was in before.ratios.items():
        if (now := after.ratios.get(label)) is None:
            continue
        if (now < was / (1 + NOISE)) if after.name in MORE_IS_BETTER else (now > was * (1 + NOISE)):
            found[label] = f"{after.name}: {label} was {was:.2f} ×, and is {now:.2f} ×"
    return found
