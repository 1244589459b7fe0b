"""How a unit is judged, by what it is: now, and against how it was when it began to be watched."""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from .limits import WATCH, Record, Shown
from .unit_journal import History

Problem = Optional[Tuple[str, str]]  # a stable word and a sentence


def seconds_of(role: Record, unit: str) -> float:
    """How long a unit of a role is watched; a journal of an older agent does not say."""
    return float(role.get("watch", {}).get(unit, WATCH))


def comes_and_goes(shown: Dict[str, str]) -> bool:
    """A job, or a service that a socket, timer or path starts: a new start of it is its work, and no restart."""
    return shown.get("Type") == "oneshot" or bool(shown.get("TriggeredBy"))


def at_work(now: Dict[str, str]) -> bool:
    """A job that is doing its work just now: how its last run ended is known again when it is done."""
    moving = now.get("ActiveState") in ("activating", "deactivating") and now.get("SubState") != "auto-restart"
    return moving and now.get("Type") == "oneshot"


def condition(unit: str, shown: Shown) -> Problem:
    """What is wrong with a unit as it is now: a job may be done, and what a listening socket starts may rest."""
    now = shown[unit]
    state = now.get("ActiveState")
    rests = now.get("Type") == "oneshot" or any(
        shown.get(trigger, {}).get("ActiveState") == "active" for trigger in now.get("TriggeredBy", "").split()
    )
    if state == "active" or (state == "inactive" and rests and now.get("Result") == "success"):
        return None
    result = now.get("Result", "")
    why = ", %s" % result if result not in ("", "success") else ""
    return "unit_not_active", "%s is %s (%s%s)." % (unit, state, now.get("SubState"), why)


def change(unit: str, now: Dict[str, str], then: Dict[str, str]) -> Problem:
    """What has become of a unit since `then`; a main process that hands over within one start is no restart."""
    if now.get("NRestarts", "") != then.get("NRestarts", ""):
        return "crash_loop", "%s was restarted while it was being watched." % unit
    if comes_and_goes(now):
        return None
    anew = now.get("InvocationID") != then.get("InvocationID")
    ended = now.get("SubState") == "exited" and now.get("RemainAfterExit") == "yes"
    hands_over = now.get("Type") in ("forking", "notify", "notify-reload", "dbus") or ended
    if anew or (now.get("MainPID") != then.get("MainPID") and not hands_over):
        return "crash_loop", "%s was restarted while it was being watched." % unit
    return None


def breakdown(units: List[str], history: History) -> Problem:
    """The unit that broke down since, though by now it may have been started again."""
    for unit in units:
        if history.restarts.get(unit):
            times = "once" if history.restarts[unit] == 1 else "%d times" % history.restarts[unit]
            return "crash_loop", "%s ended and was restarted by systemd %s while it was being watched." % (unit, times)
        if history.failures.get(unit):
            return "crash_loop", "%s ended badly while it was being watched (%s)." % (unit, history.failures[unit][-1])
    return None


def watch_words(watched: Dict[str, float]) -> str:
    """The one sentence about a watch: "a.service watched for 10 s, no restart"."""
    groups: Dict[str, List[str]] = {}
    for unit, seconds in watched.items():
        short = "%.1f s" % seconds if seconds >= 0.1 else "less than 0.1 s"
        groups.setdefault("%d s" % seconds if seconds >= 1 else short, []).append(unit)
    looked = ["%s%s for %s" % (", ".join(units), " watched", time) for time, units in groups.items()]
    return "; ".join(looked) + ", no restart" if looked else "no unit to watch"
