"""What there is of a set on this machine, looked for everywhere it could be."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sandbox.hosts.registry import Record, find, records

T = TypeVar("T")


@dataclass(frozen=True)
class Footprint:
    """One set: its record, and the network namespaces and processes it had while it was up."""

    record: Record
    processes: frozenset[int]
    namespaces: frozenset[str]

    @classmethod
    def of(cls, name: str) -> Footprint:
        """Of a set that is up."""
        record = find(name)
        assert record is not None
        members = frozenset(pid for group in record.groups for pid in _members(Path(group)))
        ours = str(Path("/proc/self/ns/net").readlink())
        return cls(record, members, frozenset(_namespaces(members)) - {ours})

    def remains(self) -> dict[str, list[str]]:
        """By kind, what is left; empty when nothing is."""
        record = self.record
        named = f"cyhosts{record.slot}"
        links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout)
        loops = subprocess.run(["losetup", "-a"], capture_output=True, check=True, text=True).stdout
        others = {
            pid for other in records() if other != record for group in other.groups for pid in _members(Path(group))
        }
        # Numbers of namespaces are given anew at once, so those of other sets do not count.
        everyone = [pid for pid in _processes() if pid not in others]
        found = {
            "processes": [str(pid) for pid in self.processes if _command(pid)],
            "guardian": [str(pid) for pid in everyone if _command(pid).endswith(f"main()\0{record.name}\0")],
            "namespaces": sorted(self.namespaces & set(_namespaces(everyone))),
            "links": [link["ifname"] for link in links if link["ifname"].split("-")[0] == named],
            "mounts": [str(pid) for pid in everyone if _mounts(pid, record.directory)],
            "loop devices": [line for line in loops.splitlines() if record.directory in line],
            "control groups": [group for group in record.groups if Path(group).exists()],
            "files": [str(path) for path in (record.state, record.path) if path.exists()],
        }
        return {kind: things for kind, things in found.items() if things}


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _members(group: Path) -> list[int]:
    found = []
    for path, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (Path(path) / "cgroup.procs").read_text().split()]
    return found


def _command(pid: int) -> str:
    """Empty for a process that is gone or only waits to be reaped."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def _namespaces(pids: frozenset[int] | list[int]) -> list[str]:
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            found.append(str(Path(f"/proc/{pid}/ns/net").readlink()))
    return found


def _mounts(pid: int, directory: str) -> bool:
    with contextlib.suppress(OSError):
        return f"{directory}/" in Path(f"/proc/{pid}/mountinfo").read_text()
    return False


def eventually(ask: Callable[[], T], good: Callable[[T], bool], deadline: float = 60.0) -> T:
    """The answer, as soon as it is good; the last one when it does not become good in time."""
    end = time.monotonic() + deadline
    while True:
        answer = ask()
        if good(answer) or time.monotonic() > end:
            return answer
        time.sleep(0.05)
