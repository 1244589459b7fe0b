"""The proof that what runs is what should run."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, List, NoReturn, Tuple

from .errors import StepFailed
from .health import Expectation, probe
from .limits import GRACE_DISCONNECTED, HEALTH_URL, PROBE_PATIENCE, WATCH_WITHOUT_HEALTH, Record, Shown
from .sockets import owns_port
from .systemd import Systemd, explain


class Verifier:
    """Looks at what runs until it is proven, or until it cannot become right any more, or until time is up."""

    def __init__(self, systemd: Systemd, log: Callable[[str], None], tick: Callable[[], None]) -> None:
        self._systemd = systemd
        self._log = log
        self._tick = tick

    def prove(self, expectations: List[Expectation], old: Shown, since: float, ends: float) -> Record:
        """`old`: how the units were before the restart ({} when there was none); `since`: epoch seconds of it.

        Raises StepFailed.
        """
        facts: Record = {"samples": 0, "roles": {}}
        units = [unit for expectation in expectations for unit in expectation.role["units"]]
        # a restart begins to count anew; without one, what happened long ago is not held against anybody
        self._restarts = {} if old else {u: shown.get("NRestarts") for u, shown in self._systemd.show(units).items()}
        first: Shown = {}
        for expectation in expectations:
            if expectation.role["health"]:
                shown = self._samples(expectation, units, ends, facts)
                first = first or shown
            else:
                for unit in expectation.role["units"]:
                    self._systemd.wait_job(unit, ends)
        if any(not expectation.role["health"] and expectation.role["units"] for expectation in expectations):
            first = self._systemd.show(units)
            time.sleep(WATCH_WITHOUT_HEALTH)
        errors = self._start_errors(units, since) if since else None
        self._final(expectations, self._started(units, ends), first, old)
        if errors is not None:
            self._no_errors(errors, old, since)
        return facts

    def _samples(self, expectation: Expectation, units: List[str], ends: float, facts: Record) -> Shown:
        role, health = expectation.role, expectation.role["health"]
        ends = min(ends, time.monotonic() + health["timeout"])
        started, streak, grace = time.monotonic(), 0, 0.0
        look_at_units = started + 1.0
        showing: Any = None
        said: tuple[str, str] | None = None
        while True:
            self._tick()
            seen = probe(health, max(0.5, min(PROBE_PATIENCE, ends - time.monotonic())))
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
            now, then, before = shown[unit], first[unit], old.get(unit, {})
            done = (
                now.get("Type") == "oneshot" and now.get("Result") == "success" and now.get("ActiveState") == "inactive"
            )
            if now.get("ActiveState") != "active" and not done:
                self._explain([unit])
                raise StepFailed(
                    "unit_not_active", "%s is %s (%s)." % (unit, now.get("ActiveState"), now.get("SubState"))
                )
            if now.get("NRestarts", "") != then.get("NRestarts", "") or now.get("MainPID") != then.get("MainPID"):
                self._explain([unit])
                raise StepFailed("crash_loop", "%s was restarted while it was being watched." % unit)
            if before and now.get("NRestarts", "0") not in ("", "0"):
                self._explain([unit])
                raise StepFailed("crash_loop", "%s has crashed since its restart." % unit)
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

    def _start_errors(self, units: List[str], since: float) -> Any:
        fields = "MESSAGE,_SYSTEMD_INVOCATION_ID,INVOCATION_ID,__REALTIME_TIMESTAMP"
        argv = ["/usr/bin/journalctl", "-q", "--no-pager", "-p", "err", "-o", "json", "--output-fields=" + fields]
        argv += ["--since", "@%d" % since]
        for unit in units:
            argv += ["-u", unit]
        return self._systemd.tools.start(argv)

    def _no_errors(self, process: Any, old: Shown, since: float) -> None:
        """No error-level line in the units' journal, other than the last words of the processes before."""
        earlier = {shown.get("InvocationID") for shown in old.values()}
        code, output = self._systemd.tools.finish(process)
        if code != 0:
            raise StepFailed("journal_unreadable", "journalctl failed on this server: %s" % output)
        for line in output.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if float(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6 < since:
                continue
            if (entry.get("_SYSTEMD_INVOCATION_ID") or entry.get("INVOCATION_ID")) in earlier:
                continue
            raise StepFailed("error_logged", "The new process logged an error: %s" % str(entry.get("MESSAGE"))[:500])

    def _explain(self, units: List[str]) -> None:
        explain(self._systemd, units, self._log)
