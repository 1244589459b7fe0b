"""Restarting units in order, each only once the one before has started."""

from __future__ import annotations

import time
from typing import Callable, List, NamedTuple

from .errors import StepFailed
from .limits import Shown
from .processes import wait_exit
from .systemd import Systemd, explain, keeps_running, starting_order


class Restarted(NamedTuple):
    """How the restarted units were before, and since when (epoch seconds) what happens to them is their new start's."""

    old: Shown
    since: float


def restart_units(systemd: Systemd, units: List[str], ends: float, log: Callable[[str], None]) -> Restarted:
    """Restart each as soon as the one before has started. Raises StepFailed for one that does not end or start in time.

    One that crashes again and again, maybe just now, is stopped first: its past is none of what is proven next.
    """
    shown = systemd.quieten(systemd.show(units), ends)
    since = time.time()
    for unit in units:
        systemd.reset(unit)
    old = {unit: shown[unit] for unit in starting_order(units) if not keeps_running(unit, shown[unit])}
    for number, unit in enumerate(old, start=1):
        systemd.restart(unit)
        while not wait_exit(int(old[unit].get("MainPID") or 0), systemd.soon(ends)):
            if systemd.over(ends):
                raise StepFailed("unit_stuck", "The old process of %s does not end." % unit)
        if number < len(old):
            _started(systemd, unit, ends, log)
    return Restarted(old, since)


def _started(systemd: Systemd, unit: str, ends: float, log: Callable[[str], None]) -> None:
    """The next unit is left alone where this one does not start: what would follow runs what it ran."""
    shown = systemd.wait_job(unit, ends)
    if shown.get("ActiveState") == "failed" or shown.get("SubState") == "auto-restart":
        explain(systemd, [unit], log)
        raise StepFailed("unit_failed", "%s failed to start (%s)." % (unit, shown.get("Result", "")))
