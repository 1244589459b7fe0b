"""What units did lately: restarts of the last hour, a job's last run, a timer's next one."""

from __future__ import annotations

import os
import re
import time
from typing import Dict, List, Optional

from .errors import StepFailed
from .files import read_bytes
from .journal import Journal
from .limits import CRASHES_AN_HOUR, Record, Shown
from .systemd import Systemd
from .tree import Tree
from .unit_journal import ask_journal, read_journal
from .watch import comes_and_goes, seconds_of

SPAN = re.compile(r"([0-9.]+)(y|month|w|d|h|min|s|ms|us)\b")
SPAN_SECONDS = {"y": 31557600.0, "month": 2629800.0, "w": 604800.0, "d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0}


def look_back(tree: Tree, systemd: Systemd, roles: List[Record]) -> Record:
    """Of an hour, or since the release became live if that is less: sentences by unit. Raises StepFailed.

    A unit that systemd had to restart just now, or again and again, does not run, though it does at this moment.
    """
    units = [unit for role in roles for unit in role["units"]]
    now = time.time()
    since = max(now - 3600.0, os.lstat(tree.current).st_mtime, _begun(tree))
    asked = ask_journal(systemd.tools, units, since) if units else None
    shown = systemd.show(units)
    if asked is None:
        return {}
    history = read_journal(asked, since, set())
    span = "in the last hour" if since == now - 3600.0 else "since its activation %s ago" % _duration(now - since)
    for role in roles:
        for unit in role["units"]:
            count, ago = history.restarts.get(unit, 0), now - history.latest.get(unit, 0.0)
            if count > CRASHES_AN_HOUR or (count and ago < seconds_of(role, unit)):
                said = "systemd restarted %s %s %s, last %s ago: it ends again and again."
                raise StepFailed("crash_loop", said % (unit, _times(count), span, _duration(ago)))
    return {unit: _told(unit, shown, history.restarts.get(unit, 0), span) for unit in units}


def _begun(tree: Tree) -> float:
    """When the last run, or its way back, had started the units: what crashed until then was what ran before."""
    state = Journal(tree).last_run()
    result = (state.result if state else None) or {}
    baseline = result.get("facts", {}).get("proof", {}).get("baseline", {})
    return float(baseline.get("since") or min(baseline.get("began", {}).values(), default=0.0))


def _told(unit: str, shown: Shown, restarts: int, span: str) -> str:
    now = shown[unit]
    if unit.endswith(".timer"):
        return "%s fired last %s, fires next %s" % (unit, now.get("LastTriggerUSec") or "never", _next(now))
    if now.get("Type") == "oneshot":
        ended = now.get("ExecMainExitTimestamp")
        result = now.get("Result", "") if now.get("Result") != "exit-code" else "exit " + now.get("ExecMainStatus", "")
        return "%s ran last until %s: %s" % (unit, ended, result) if ended else "%s has not run since the boot" % unit
    if now.get("ActiveState") == "inactive" and comes_and_goes(now):
        return "%s rests until %s starts it" % (unit, now["TriggeredBy"])
    if not unit.endswith(".service"):
        return "%s is %s" % (unit, now.get("SubState"))
    return "%s %s %s" % (unit, "was restarted " + _times(restarts) if restarts else "no restart", span)


def _next(timer: Dict[str, str]) -> str:
    if timer.get("NextElapseUSecRealtime"):
        return timer["NextElapseUSecRealtime"]
    elapse = _seconds(timer.get("NextElapseUSecMonotonic", ""))
    if elapse is None:
        return "never"
    return "in " + _duration(max(0.0, elapse - float(read_bytes("/proc/uptime").split()[0])))


def _seconds(span: str) -> Optional[float]:
    """systemd's "1h 2min 3.5s" as seconds; None for no time at all ("infinity", "0")."""
    found = SPAN.findall(span)
    return sum(float(number) * SPAN_SECONDS.get(unit, 0.0) for number, unit in found) if found else None


def _duration(seconds: float) -> str:
    for name, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return "%d %s" % (seconds // size, name)
    return "%d s" % seconds


def _times(count: int) -> str:
    return "once" if count == 1 else "%d times" % count
