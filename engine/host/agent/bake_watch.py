"""The watch after success: what became of the units since a run had verified them."""

from __future__ import annotations

import time
from typing import List

from .errors import StepFailed
from .journal import Journal
from .limits import Record, Shown
from .processes import Tools
from .recorder import outcome
from .systemd import Systemd
from .tree import Tree
from .unit_journal import History, ask_journal, read_journal
from .watch import Problem, breakdown, condition, watch_words
from .wire import Frames, Stream


def verb_watch(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Judge the units of the last run, if it was this one, against how it left them; waits for nothing."""
    request = frames.request()
    state = Journal(tree).last_run()
    if state is None or (state.deployment, state.fence) != (request["deployment"], request["fence"]):
        return outcome("none", "another_run", "Another deployment ran on this server since.")
    baseline = ((state.verified or {}).get("facts") or {}).get("baseline")
    if not baseline:
        return outcome("none", "no_baseline", "The run did not say how it left its units.")
    systemd = Systemd(Tools("watch", tree.root))
    units: List[str] = list(baseline["restarts"])
    try:
        asked = ask_journal(systemd.tools, units, baseline["since"]) if units else None
        shown = systemd.show(units)
        history = read_journal(asked, baseline["since"], set(baseline["earlier"])) if asked else History([], {}, {}, {})
    except StepFailed as error:
        return outcome("none", error.reason, str(error))
    problem = _since(units, shown, history, baseline)
    if problem:
        return outcome("failed", problem[0], problem[1])
    seconds = {unit: time.time() - began for unit, began in baseline["began"].items()}
    return outcome("succeeded", "watched", watch_words(seconds) + ".")


def _since(units: List[str], shown: Shown, history: History, baseline: Record) -> Problem:
    """A restart by hand is none of a release's; a crash is, and an error-level line within the watch itself."""
    broken = breakdown(units, history)
    if broken:
        return broken
    for unit in units:
        count = int(shown[unit].get("NRestarts") or 0) - int(baseline["restarts"][unit])
        if count > 0:
            return "crash_loop", "%s was restarted by systemd while it was being watched." % unit
        waits = shown[unit].get("SubState") == "auto-restart"
        if shown[unit].get("ActiveState") not in ("activating", "deactivating") or waits:
            problem = condition(unit, shown)
            if problem:
                return problem
    ends = max([0.0, *baseline["began"].values()]) + baseline["seconds"]
    for entry in history.errors:
        if entry["at"] <= ends:
            return "error_logged", "The new process logged an error: %s" % str(entry.get("MESSAGE"))[:500]
    return None
