"""Undoing what the hooks of a run did, as far as they name a way back: the journal knows which had begun."""

from __future__ import annotations

import os
import time
from typing import Callable, List

from .errors import Refused, as_failure
from .hooks import Hooks, hook_at
from .journal import RunState
from .limits import MOMENTS, Record
from .processes import Tools, wait_exit
from .recorder import Recorder
from .systemd import Systemd
from .tree import Tree

LAST_CHANCE = 10.0  # s for a service of the release that is taken back, so that it does not write meanwhile

BETWEEN = " Data may be between the two releases: `backups` lists what was kept before, `restore_data` brings it."


class WayBack:
    """The ways back of a run's hooks, the last one first. Repeatable: one that ran is not run again."""

    def __init__(self, tree: Tree, state: RunState, recorder: Recorder, tools: Tools, tick: Callable[[], None]) -> None:
        self._state = state
        self._recorder = recorder
        self._systemd = Systemd(tools, tick)
        self._hooks = Hooks(tree, tools, state.plan, tick)
        self._tick = tick

    @property
    def begun(self) -> List[str]:
        """The hooks that had begun, in their order."""
        return [moment for moment in MOMENTS if moment in self._state.begun]

    @property
    def waiting(self) -> List[str]:
        """Those whose way back has to run, in the order in which that is done."""
        left = [moment for moment in self.begun if moment not in self._state.went_back and self._words(moment)]
        return left[::-1]

    def end_what_runs(self) -> str:
        """What a killed agent left of a hook must not go on beside what puts things back; why it may, else empty."""
        if all(moment in self._state.facts for moment in self.begun) and "back" not in self._state.begun:
            return ""
        try:
            self._hooks.end_what_runs()
        except Exception as error:  # noqa: BLE001 - links and units are put back whatever happens here
            return " Something of a hook may still run: %s" % error
        return ""

    def go(self, facts: Record) -> str:
        """All that wait; returns what a person has to know of one that failed, else an empty string."""
        waiting, lost = self.waiting, ""
        try:
            if waiting and "restart" in self._state.begun:
                self._stop_services()
        except Exception as error:  # noqa: BLE001 - links and units are put back whatever happens here
            facts["no_way_back"] = waiting
            return _lost(waiting, error) + BETWEEN
        for moment in waiting:
            hook = hook_at(self._state.plan, moment) or {}
            begun = self._recorder.begin("back")
            try:
                ends = time.monotonic() + float(hook["deadline"])
                self._hooks.run(
                    moment, self._words(moment), ends, lambda line: self._recorder.log("back", line, "output")
                )
            except Exception as error:  # noqa: BLE001 - links and units are put back whatever happens here
                self._recorder.end("back", "failed", begun, {"hook": moment, "problem": str(error)})
                facts.setdefault("no_way_back", []).append(moment)
                lost += _lost([moment], error)
                continue
            self._recorder.record("went_back", {"hook": moment})
            self._recorder.end("back", "ok", begun, {"hook": moment})
            facts.setdefault("went_back", []).append(moment)
        return lost and lost + BETWEEN

    def stays(self) -> str:
        """What a revert does not undo, as a sentence with a blank before it."""
        left = [moment for moment in self.begun if not self._words(moment)]
        return " What %s did stays: it names no way back." % " and ".join(left) if left else ""

    def afterwards(self) -> str:
        """What became of after_success, where that is not well."""
        if "after_success" not in self._state.begun or "after_success" in self._state.ended:
            return ""
        facts = self._state.facts.get("after_success", {})
        return " %s The release stays." % facts.get("said", "The hook after_success did not end in time.")

    def _words(self, moment: str) -> List[str]:
        return list((hook_at(self._state.plan, moment) or {}).get("back", ()))

    def _stop_services(self) -> None:
        units = [u for role in self._state.plan["roles"] for u in role["units"] if u.endswith(".service")]
        shown = self._systemd.show(units)
        for unit in [unit for unit in units if shown[unit].get("LoadState") == "loaded"]:
            self._systemd.stop(unit)
        ends = time.monotonic() + LAST_CHANCE
        for unit in units:
            while not wait_exit(int(shown[unit].get("MainPID") or 0), self._systemd.soon(ends)):
                if self._systemd.over(ends):
                    return


def _lost(moments: List[str], error: Exception) -> str:
    return " The way back of %s failed: %s" % (" and ".join(moments), as_failure(error, "back"))


def refuse_before_the_boot(tree: Tree, tools: Tools) -> None:
    """Raise Refused while a boot is yet to run a way back: who asks earlier finds no databases to run it on."""
    unit = os.path.basename(tree.root) + "-settle.service"
    if not os.path.exists(tree.unsettled):
        return
    shown = Systemd(tools).show([unit])[unit]
    if shown.get("Job", "") not in ("", "0") or shown.get("ActiveState") == "activating":
        raise Refused("host_locked", "This server boots, and is about to run a hook's way back; wait for it.")
