"""A control group of its own for every host, in every hierarchy that systemd inside the host works with.

Without it the hosts would share ours, and their systemds, each believing to be alone, would end one another's
services. It also makes MemoryMax, TasksMax and CPUQuota hold, and it is how all processes of a host are found and
ended.

Version 1 and hybrid machines: one directory per controller, below the group this process is in, so that what the
machine accounts to us stays accounted to us. Pure version 2 machines: below the root, since a group that has
processes cannot hand its controllers on.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .processes import wait_until

HIERARCHIES = ("name=systemd", "memory", "pids", "cpu", "cpuacct")
"""The version 1 hierarchies a systemd 252 manages services in; device access is left to the machine."""


def bases(mountinfo: str, membership: str) -> list[Path]:
    """Where groups can be made, from the text of /proc/self/mountinfo and /proc/self/cgroup."""
    ours = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        ours.update(dict.fromkeys(controllers.split(","), path))
    legacy: list[Path] = []
    unified: Path | None = None
    for line in mountinfo.splitlines():
        fields, _, tail = line.partition(" - ")
        root, mountpoint = fields.split()[3:5]
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup2" and unified is None:
            unified = Path(mountpoint)
        elif kind == "cgroup":
            name = next((name for name in HIERARCHIES if name in options.split(",") and name in ours), None)
            if name is not None:
                legacy.append(_below(Path(mountpoint), root, ours[name]))
    if unified is None:
        return legacy
    return [*legacy, _below(unified, "/", ours.get("", "/"))] if legacy else [unified]


def _below(mountpoint: Path, root: str, path: str) -> Path:
    inside = path[len(root) :] if root != "/" and path.startswith(root) else path
    return mountpoint / inside.lstrip("/")


def here() -> list[Path]:
    """Where this process can make groups."""
    return list(dict.fromkeys(bases(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())))


def create(groups: Iterable[Path]) -> None:
    """Make the groups, and hand the machine's controllers on to them where that takes a word (version 2)."""
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
        for parent in (group.parent.parent, group.parent):
            for controller in ("+memory", "+pids", "+cpu"):
                # A group that has processes, or a machine that keeps the controller to itself: limits then do not hold.
                with contextlib.suppress(OSError):
                    (parent / "cgroup.subtree_control").write_text(controller)


def processes(groups: Sequence[Path]) -> set[int]:
    """Every process in the groups and below."""
    found: set[int] = set()
    for group in _tree(groups):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    return found - {0}


def kill(groups: Sequence[Path], *, deadline: float = 20.0) -> None:
    """End every process in the groups, at once and without asking, and wait until none is left."""

    def empty() -> bool:
        left = processes(groups)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_until(empty, deadline=deadline, what="for killed processes to go away")


def remove(groups: Sequence[Path], *, deadline: float = 20.0) -> None:
    """End every process in the groups and take the groups away. Groups that are gone already are fine."""

    def gone() -> bool:
        kill(groups, deadline=deadline)
        for group in _tree(groups):
            with contextlib.suppress(OSError):
                group.rmdir()
        return not any(group.exists() for group in groups)

    wait_until(gone, deadline=deadline, what="for control groups to become empty")


def _tree(groups: Sequence[Path]) -> Iterator[Path]:
    for group in groups:
        for directory, _, _ in os.walk(group, topdown=False):
            yield Path(directory)
