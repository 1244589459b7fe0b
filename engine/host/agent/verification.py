"""The proof that what runs is what should run."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, NoReturn, Tuple

from .errors import StepFailed
from .health import Expectation, probe
from .limits import GRACE_DISCONNECTED, HEALTH_URL, PROBE_TIMEOUT, WATCH_PAUSE, Record, Shown
from .sockets import owns_port
from .systemd import Systemd, explain
from .unit_journal import History, ask_journal, read_journal
from .watch import Problem, breakdown, change, condition, seconds_of, watch_words


class Verifier:
    """Looks at what runs until it is proven, or until it cannot become right any more, or until time is up."""

    def __init__(self, systemd: Systemd, log: Callable[[str], None], tick: Callable[[], None]) -> None:
        self._systemd = systemd
        self._log = log
        self._tick = tick
        self.shown: Shown = {}
        """The units as they were looked at last."""

    def prove(
        self, expectations: List[Expectation], old: Shown, since: float, ends: float, *, watch: bool = True
    ) -> Record:
        """`old`: how the units were before the restart ({} when there was none); `since`: epoch seconds of it.

        Without `watch` what runs is looked at as it is now. The facts say what was looked at (`watched`, a sentence)
        and from where a watch goes on (`baseline`). Raises StepFailed.
        """
        facts: Record = {"samples": 0, "roles": {}}
        units = [unit for expectation in expectations for unit in expectation.role["units"]]
        # a restart begins to count anew; without one, what happened long ago is not held against anybody
        self._restarts = {} if old else {u: shown.get("NRestarts") for u, shown in self._systemd.show(units).items()}
        first: Shown = {}
        began: Dict[str, float] = {}
        for expectation in expectations:
            shown = self._first_look(expectation, units, ends, facts)
            first.update({unit: shown[unit] for unit in expectation.role["units"]})
            began.update(dict.fromkeys(expectation.role["units"], time.monotonic()))
        if watch:
            self._watch(expectations, first, began, ends)
        asked = ask_journal(self._systemd.tools, units, since) if since else None
        shown = self.shown = self._started(units, ends)
        self._final(expectations, shown, first, old)
        if asked is not None:
            self._no_errors(read_journal(asked, since, {s.get("InvocationID") for s in old.values()}), units)
        seen = {unit: time.monotonic() - at for unit, at in began.items()}
        facts["watched"] = _looked_at(facts, watch_words(seen) if watch else "")
        facts["baseline"] = {
            "since": since,
            "earlier": [s["InvocationID"] for s in old.values() if s.get("InvocationID")],
            "restarts": {unit: int(shown[unit].get("NRestarts") or 0) for unit in units},
            "began": {unit: time.time() - passed for unit, passed in seen.items()},
            "seconds": max([0.0, *(seconds_of(e.role, u) for e in expectations for u in e.role["units"])]),
            "left": max([0.0, *(seconds_of(e.role, u) - seen[u] for e in expectations for u in e.role["units"])]),
        }
        return facts

    def _first_look(self, expectation: Expectation, units: List[str], ends: float, facts: Record) -> Shown:
        """The units from which a restart shows: at the first healthy answer, or once they have started."""
        if expectation.role["health"]:
            return self._samples(expectation, units, ends, facts)
        for unit in expectation.role["units"]:
            self._systemd.wait_job(unit, ends)
        return self._systemd.show(units)

    def _watch(self, expectations: List[Expectation], first: Shown, began: Dict[str, float], ends: float) -> None:
        """Stay with the units that no health URL speaks for, until each has had its time or something is wrong."""
        quiet = [expectation.role for expectation in expectations if not expectation.role["health"]]
        until = {unit: min(ends, began[unit] + seconds_of(role, unit)) for role in quiet for unit in role["units"]}
        while (left := max(until.values(), default=0.0) - time.monotonic()) > 0:
            time.sleep(min(left, WATCH_PAUSE))
            self._tick()
            shown = self._systemd.show(list(until))
            for unit, now in shown.items():
                starting = now.get("ActiveState") == "activating" and now.get("SubState") != "auto-restart"
                self._refuse(unit, (None if starting else condition(unit, shown)) or change(unit, now, first[unit]))

    def _samples(self, expectation: Expectation, units: List[str], ends: float, facts: Record) -> Shown:
        role, health = expectation.role, expectation.role["health"]
        ends = min(ends, time.monotonic() + health["timeout"])
        started, streak, grace = time.monotonic(), 0, 0.0
        look_at_units = started + 1.0
        showing: Any = None
        said: tuple[str, str] | None = None
        while True:
            self._tick()
            seen = probe(health, max(0.5, min(PROBE_TIMEOUT, ends - time.monotonic())))
            problem = expectation.problem(seen)
            now = time.monotonic()
            if problem and expectation.tolerates(problem[0]):
                grace = grace or now + min(GRACE_DISCONNECTED, max(0.0, ends - now) / 2)
                problem = None if now >= grace else problem
            if problem is None:
                streak += 1
                if streak == 1:
                    facts["roles"].setdefault(role["role"], {})["first_healthy"] = round(now - started, 3)
                    showing = self._systemd.start_show(units)
                if streak >= health["samples"]:
                    break
                time.sleep(health["interval"])
                continue
            if showing is not None:
                self._systemd.finish_show(showing, units)
                showing = None
            streak = 0
            # a process that answered wrongly and now is too busy to answer is still the one that answered wrongly
            said = problem if seen["answered"] else said
            if now >= look_at_units:
                self._still_possible(units)
                look_at_units = now + 1.0
            if now >= ends:
                self._give_up(role["units"], said or problem, now - started)
            time.sleep(0.02 if now - started < 5 else 0.1)
        facts["samples"] += streak
        facts["roles"][role["role"]].update(connected=seen["connected"], version=seen["version"])
        return self._systemd.finish_show(showing, units)

    def _give_up(self, units: List[str], problem: Tuple[str, str], seconds: float) -> NoReturn:
        self._explain(units)
        raise StepFailed(problem[0], "%s It had %d s." % (problem[1], round(seconds)))

    def _still_possible(self, units: List[str]) -> None:
        for unit, shown in self._systemd.show(units).items():
            if shown.get("ActiveState") == "failed":
                self._explain([unit])
                raise StepFailed("unit_failed", "%s failed to start (%s)." % (unit, shown.get("Result", "")))
            if shown.get("NRestarts", "0") not in ("", "0", self._restarts.get(unit)):
                self._explain([unit])
                raise StepFailed(
                    "crash_loop",
                    "%s crashed after its start; systemd has restarted it %s times." % (unit, shown["NRestarts"]),
                )

    def _started(self, units: List[str], ends: float) -> Shown:
        """The units once none of them is starting any more: one may answer before it tells systemd that it is ready."""
        while True:
            shown = self._systemd.show(units)
            starting = [s for s in shown.values() if s.get("ActiveState") == "activating"]
            if not starting or time.monotonic() >= ends or any(s.get("SubState") == "auto-restart" for s in starting):
                return shown
            self._tick()
            time.sleep(0.05)

    def _final(
        self,
        expectations: List[Expectation],
        shown: Shown,
        first: Shown,
        old: Shown,
    ) -> None:
        for unit in shown:
            now, before = shown[unit], old.get(unit, {})
            self._refuse(unit, condition(unit, shown) or change(unit, now, first[unit]))
            if before and now.get("NRestarts", "0") not in ("", "0"):
                self._refuse(unit, ("crash_loop", "%s has crashed since its restart." % unit))
            if before.get("InvocationID") and before["InvocationID"] == now.get("InvocationID"):
                raise StepFailed("old_process", "%s was not restarted: the old process still runs." % unit)
        for expectation in expectations:
            role = expectation.role
            if not role["health"]:
                continue
            port = int(HEALTH_URL.fullmatch(role["health"]["url"]).group(2))  # type: ignore[union-attr]  # checked
            if owns_port(port, [shown[unit] for unit in role["units"]], role["units"]) is False:
                raise StepFailed(
                    "port_taken", "What answers on port %d does not belong to %s." % (port, " or ".join(role["units"]))
                )

    def _no_errors(self, history: History, units: List[str]) -> None:
        """Nothing broke down, and no error-level line was written, but for the last words of the processes before."""
        broken = breakdown(units, history)
        if broken:
            self._explain(units)
            raise StepFailed(*broken)
        for entry in history.errors:
            raise StepFailed("error_logged", "The new process logged an error: %s" % str(entry.get("MESSAGE"))[:500])

    def _refuse(self, unit: str, problem: Problem) -> None:
        if problem:
            self._explain([unit])
            raise StepFailed(*problem)

    def _explain(self, units: List[str]) -> None:
        explain(self._systemd, units, self._log)


def _looked_at(facts: Record, watched: str) -> str:
    answers = "%d healthy answers in a row" % facts["samples"] if facts["samples"] else "no health URL to ask"
    return "; ".join(filter(None, [answers, watched]))
