"""Restarting, stopping and starting what `current` leads to, watched as a deployment is."""

from __future__ import annotations

import signal
import time
from typing import Callable, Dict, List, Set

from .data import Restoration, settle_restore
from .dumps import Dumper, refuse_unfinished
from .errors import Refused, StepFailed, as_failure
from .health import Expectation, probe
from .journal import Journal
from .limits import LINE_LIMIT, LOCK_TIMEOUT, OPERATION_TIMEOUT, PLAIN_NAME, REVERT_TIMEOUT, Record
from .lock import Lock, describe_owner
from .processes import Tools, wait_exit
from .recorder import outcome
from .request import check_roles, need
from .restarting import restart_units
from .systemd import RUNNING, Systemd
from .tree import Tree
from .verification import Verifier
from .wire import Frames, Stream

TRIGGERS = (".socket", ".timer", ".path")


def verb_operate(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """One action on units of the release that runs, or of all its units. Raises Refused."""
    request = frames.request()
    check_roles(request["roles"])
    action, known = request["action"], [unit for role in request["roles"] for unit in role["units"]]
    need(action in ACTIONS, "%r is no action" % (action,))
    units = [unit for unit in known if unit in request["units"] or not request["units"]]
    need(set(request["units"]) <= set(known), "a unit is none of the release's")
    lock = Lock(tree)
    if not lock.acquire(LOCK_TIMEOUT):
        raise Refused("host_locked", describe_owner(lock.owner()) + "; try again when it has ended.")
    yields = action != "restore"
    if yields:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a run that comes meanwhile restarts the units itself
    try:
        lock.own_briefly("A %s" % action, yields=yields)
        settle_restore(tree)
        if action not in ("stop", "restore"):
            refuse_unfinished(tree)
        must_run(tree, request["release"])
        return Operation(tree, request, stream).carry_out(action, units)
    except StepFailed as error:
        return outcome("failed", error.reason, str(error), **error.facts)
    finally:
        lock.release()


def must_run(tree: Tree, release: str) -> None:
    """Raise Refused unless this is what is live, and no run was left unfinished."""
    current = tree.current_release()
    if current != release:
        raise Refused(
            "wrong_release", "The server runs %s, not %s; nothing was done." % (current or "nothing", release)
        )
    state = Journal(tree).last_run()
    if state is not None and state.unfinished:
        sentence = (
            "Deployment %s was left unfinished on this server; let the portal recover it first." % state.deployment
        )
        raise Refused("unsettled", sentence)


class Operation:
    """One action under the lock; its lines go to the portal as they come."""

    def __init__(self, tree: Tree, request: Record, stream: Stream) -> None:
        self._tree = tree
        self._request = request
        self._stream = stream
        self._systemd = Systemd(Tools("operation", tree.root), stream.tick)
        self._ends = time.monotonic() + OPERATION_TIMEOUT

    def carry_out(self, action: str, units: List[str]) -> Record:
        """Raises StepFailed, with what runs then, and what ran before and is stopped."""
        before = self._running(units)
        try:
            return ACTIONS[action](self, units)
        except StepFailed as error:
            error.facts.update(self._left(units, before))
            raise

    def restart(self, units: List[str]) -> Record:
        """All of them anew."""
        return self._proven("restarted", units, units)

    def start(self, units: List[str]) -> Record:
        """Those that do not run; the others are left alone."""
        shown = self._systemd.show(units)
        return self._proven("started", units, [u for u in units if shown[u].get("ActiveState") not in RUNNING])

    def stop(self, units: List[str]) -> Record:
        """What would start a service first, then the last unit before the first."""
        before = self._systemd.show(units)
        triggers = [unit for unit in units if unit.endswith(TRIGGERS)]
        for unit in [*triggers, *(unit for unit in reversed(units) if unit not in triggers)]:
            self._systemd.stop(unit)
        for unit in units:
            pid = int(before[unit].get("MainPID") or 0)
            while not wait_exit(pid, self._systemd.soon(self._ends)):
                if self._systemd.over(self._ends):
                    raise StepFailed("unit_stuck", "%s does not stop." % unit)
            if self._systemd.wait_job(unit, self._ends).get("ActiveState") in RUNNING:
                raise StepFailed("unit_stuck", "%s does not stop." % unit)
            self._systemd.reset(unit)  # what failed on its way out is stopped all the same
        rested = [unit for unit in units if before[unit].get("ActiveState") not in RUNNING]
        ended = [unit for unit in units if unit not in rested]
        words = ["Stopped %s." % _listed(ended)] if ended else []
        words += ["Not running before: %s." % _listed(rested)] if rested else []
        return outcome("succeeded", "stopped", " ".join(words), units=units)

    def restore(self, units: List[str]) -> Record:
        """A backup in the place of what is there, which is kept; what does not run with it is put back as it was."""
        backup, mark = str(self._request["backup"]), str(self._request["mark"])
        need(PLAIN_NAME.fullmatch(mark), "the restore has no proper name")
        dumper = Dumper(self._tree, self._systemd.tools, self._log, self._stream.tick)
        work = Restoration(self._tree, self._request["roles"], backup, dumper)
        try:
            rows = work.rehearse()
            try:
                self.stop(units)
                kept = work.set_aside(mark, self._ends)
                work.swap(self._ends)
                proof = self._proven("started", units, units)
            except Exception as error:  # whatever it is, nothing is left stopped or half restored without a word
                raise self._put_back(work, units, as_failure(error, "restore")) from error
            work.forget()
        finally:
            work.clear()
        sentence = "Restored %s from %s; what was there before is the backup %s. %s"
        named = _listed(sorted(rows))
        facts = {"units": units, "rows": rows, "kept": kept}
        return outcome("succeeded", "restored", sentence % (named, backup, kept, proof["sentence"]), **facts)

    def _put_back(self, work: Restoration, units: List[str], failure: StepFailed) -> StepFailed:
        """The failure, told with what is there now and what runs: the units are started whatever else fails."""
        words = [str(failure), "What was there before is there again." if work.kept else "Nothing was replaced."]
        try:
            if work.kept:
                self.stop(units)
                work.undo(time.monotonic() + OPERATION_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - the units are started all the same
            held = "What was there before is not back, but in the backup %s: `restore_data` brings it." % work.kept
            words[1:] = [held, str(as_failure(error, "restore"))]
        self._ends = max(self._ends, time.monotonic() + REVERT_TIMEOUT)
        try:
            self._proven("started", units, units)
        except Exception as error:  # noqa: BLE001 - it is told with the rest
            words.append("It could not be started: %s" % as_failure(error, "restore"))
        running = self._left(units, []).get("running", [])
        left = [unit for unit in units if unit not in running]
        words += ["Running: %s." % _listed(running)] if running else []
        words += ["Not running: %s." % _listed(left)] if left else []
        return StepFailed(failure.reason, " ".join(words), **failure.facts)

    def _running(self, units: List[str]) -> List[str]:
        shown = self._systemd.show(units)
        return [unit for unit in units if shown[unit].get("ActiveState") in RUNNING]

    def _left(self, units: List[str], before: List[str]) -> Record:
        """After a failure: what runs, and what was stopped of what ran `before`; nothing when systemd does not say."""
        try:
            shown = self._systemd.show(units)
        except (Refused, OSError):
            return {}
        states = {unit: shown[unit].get("ActiveState") for unit in units}
        running = [unit for unit in units if states[unit] in RUNNING]
        return {"running": running, "stopped": [unit for unit in before if states[unit] == "inactive"]}

    def _proven(self, done: str, units: List[str], chosen: List[str]) -> Record:
        """Have `chosen` started anew, and prove all that should run now."""
        seen = {role["role"]: probe(role["health"]) for role in self._request["roles"] if role["health"]}
        shown = self._systemd.show([unit for role in self._request["roles"] for unit in role["units"]])
        running = {unit for unit, now in shown.items() if now.get("ActiveState") in RUNNING} | set(units)
        old, since = restart_units(self._systemd, chosen, self._ends, self._log)
        verifier = Verifier(self._systemd, self._log, self._stream.tick)
        facts = verifier.prove(self._expectations(running, seen), old, since, self._ends)
        left = [unit for unit in units if unit not in old]
        words = ["%s %s." % (done.capitalize(), _listed(list(old)))] if old else []
        words += ["Left running: %s." % _listed(left)] if left else []
        sentence = "%s Looked at: %s." % (" ".join(words), facts["watched"])
        return outcome("succeeded", done, sentence, units=list(old), watched=facts["watched"])

    def _expectations(self, running: Set[str], seen: Dict[str, Record]) -> List[Expectation]:
        """Of each role what should run now; one of whose units some are stopped is not asked how it is."""
        found = []
        for role in self._request["roles"]:
            units = [unit for unit in role["units"] if unit in running]
            if not units:
                continue
            whole = units == role["units"]
            answer = seen.get(role["role"], {})
            connected = not (answer.get("answered") and answer.get("connected") is False)
            asked = dict(role, units=units, health=role["health"] if whole else None)
            found.append(Expectation(asked, self._request["version"], self._request["release"], connected))
        return found

    def _log(self, line: str) -> None:
        self._stream.record({"kind": "log", "text": line[:LINE_LIMIT]})


def _listed(units: List[str]) -> str:
    return " and ".join([", ".join(units[:-1]), units[-1]] if len(units) > 1 else units)


ACTIONS: Dict[str, Callable[[Operation, List[str]], Record]] = {
    "restart": Operation.restart,
    "stop": Operation.stop,
    "start": Operation.start,
    "restore": Operation.restore,
}
