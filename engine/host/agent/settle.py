"""Finish or undo a run from what journal and disk say."""

from __future__ import annotations

import errno
import os
import time
from typing import Callable, List, Optional

from .errors import Refused, StepFailed
from .fault_injection import inject_fault
from .files import discard, fsync_path, swap_link, unlink, write_atomic
from .health import Expectation
from .hook_undo import WayBack, refuse_before_the_boot
from .journal import Journal, RunState
from .limits import REVERT_TIMEOUT, Record
from .processes import Tools, sweep, wait_exit
from .recorder import Masker, Recorder
from .systemd import RUNNING, Systemd, keeps_running, starting_order
from .tree import Tree, clear_leftovers
from .units import take_units, taken
from .verification import Verifier

EARLY, LATE = 1, 2  # in a boot


class Settler:
    """Brings an unfinished run to a true end. Idempotent: whoever runs it, however often, after whatever happened."""

    def __init__(self, tree: Tree, state: RunState, recorder: Recorder, tick: Callable[[], None], boot: int) -> None:
        self.tree = tree
        self.state = state
        self.recorder = recorder
        self.tools = Tools(state.deployment, tree.root)
        self.systemd = Systemd(self.tools)
        self._tick = tick
        self._boot, self._late = boot == EARLY, boot == LATE
        self._way_back = WayBack(tree, state, recorder, self.tools, tick)

    def leaves_for_later(self) -> bool:
        """Whether a way back waits, which cannot run this early in a boot; it is noted for `recover --late`."""
        if self.state.verified is not None or not self._way_back.waiting:
            return False
        write_atomic(self.tree.unsettled, b"A way back waits: see recover --late.\n")
        return True

    def settle(self, cause: Record) -> Record:
        """`cause`: reason and sentence of what ended the run, and the status if it is not a failure."""
        state = self.state
        if state.verified is not None:
            looked = state.verified.get("facts", {}).get("watched", "not looked at any further")
            sentence = "%s runs and is verified: %s.%s" % (state.plan["release"], looked, self._way_back.afterwards())
            return self._result("succeeded", "verified", sentence, {})
        undone = self._undo_needed() or bool(self._way_back.waiting)
        begun = self.recorder.begin("revert") if undone else 0.0
        facts: Record = {"cause": cause["reason"]}
        problem = ""
        left = "" if self._boot or self._late else self._way_back.end_what_runs()
        if undone:
            problem = self._undo(facts)
            problem = (problem or self._restored()) + left if left else problem
        self._clean(facts)
        status = cause.get("status", "failed")
        sentence = cause["sentence"]
        if undone:
            self.recorder.end("revert", "failed" if problem else "reverted", begun, facts)
            status = "reverted" if status == "failed" else status
            sentence += " " + (problem or self._restored()) + self._way_back.stays()
        else:
            switched = "switched" if self._way_back.begun else "changed"
            sentence += " Nothing on this server was %s.%s" % (switched, self._way_back.stays())
        return self._result("interrupted" if problem else status, cause["reason"], sentence, facts)

    def _undo_needed(self) -> bool:
        before = self.state.before
        if before is None:
            return False
        restarted = "restart" in self.state.begun or "revert" in self.state.begun or self.state.cause is not None
        return restarted or not self._links_as_before()

    def _links_as_before(self) -> bool:
        before = self.state.before or {}
        current = self.tree.current_release()
        as_before = current == before["current"] and self.tree.config_link(current) == before["config"]
        return bool(as_before) and not (self._takes_units() and [taken(self.tree)["release"]] != before["units_of"])

    def _takes_units(self) -> bool:
        return (self.state.before or {}).get("units_of") is not None

    def _undo(self, facts: Record) -> str:
        """Put everything back; returns what a person has to know when it did not work, else an empty string."""
        try:
            lost = self._way_back.go(facts)
            self._restore_links()
            facts["links"] = True
            inject_fault(self.tree, self.tools, "revert", self.recorder)
            if self._boot:
                facts["units"] = "left to the boot that is under way"
                return lost and self._restored() + lost
            if self._takes_units():
                facts["taken"] = take_units(self.tree, self.tools)
            if self._late:
                self._queue_units(facts)
                return lost and self._restored() + lost
            restarted = "restart" in self.state.begun or self.state.cause is not None or "revert" in self.state.begun
            if restarted or self._has_fallen():
                self._restore_units(facts)
            if lost:
                return self._restored() + lost
        except (Refused, OSError) as error:
            facts["problem"] = str(error)
            return (
                "It could not be put back as it was: %s Look at the units with systemctl and journalctl on this "
                "server, then deploy or roll back again." % error
            )
        return ""

    def _queue_units(self, facts: Record) -> None:
        """During a boot the units wait for us, and we not for them."""
        for unit in starting_order(self._ran()):
            self.systemd.restart(unit)
        facts["units"] = "left to the boot that is under way"

    def _restore_links(self) -> None:
        before = self.state.before or {}
        release = before["current"]
        if release is None:
            unlink(self.tree.current)
            fsync_path(self.tree.root)
            return
        if self.tree.config_link(release) != before["config"]:
            link = os.path.join(self.tree.release(release), ".config")
            if before["config"] is None:
                unlink(link)
            else:
                self._swap(link, before["config"])
        if self.tree.current_release() != release:
            self._swap(self.tree.current, "releases/" + release)

    def _swap(self, path: str, target: str) -> None:
        try:
            swap_link(path, target)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self.tree.drop_ballast():
                raise
            swap_link(path, target)

    def _restore_units(self, facts: Record) -> None:
        before = self.state.before or {}
        ends = time.monotonic() + float(self.state.plan["deadlines"].get("revert", REVERT_TIMEOUT))
        planned = [unit for role in self.state.plan["roles"] for unit in role["units"]]
        others = [unit for unit in before["units"] if unit not in planned]  # which the reverted release did not have
        old = self.systemd.quieten(self.systemd.show([*planned, *others]), ends)
        units = [unit for unit in starting_order([*old]) if old[unit].get("LoadState") != "not-found"]
        if self._takes_units():  # one that was refused may be somebody else's
            units = [unit for unit in units if unit in taken(self.tree)["units"]]
        if not units:
            return
        active = [unit for unit in units if unit in self._ran()]
        for unit in units:
            if unit in active and keeps_running(unit, old[unit]):
                old[unit] = {}
            elif unit in active:
                self.systemd.reset(unit)
                self.systemd.restart(unit)
            else:
                self.systemd.stop(unit)
        for unit in units:
            pid = int(old[unit].get("MainPID") or 0)
            while not wait_exit(pid, min(ends, time.monotonic() + 1)):
                self._tick()
                if time.monotonic() > ends:
                    raise StepFailed("unit_stuck", "%s does not stop." % unit)
        for unit in units:
            if unit not in active:  # stopped, and not "failed": what failed is told by the run, not left on the server
                self.systemd.wait_job(unit, ends)
                self.systemd.reset(unit)
        facts["restarted"] = active
        verifier = Verifier(self.systemd, lambda line: self.recorder.log("revert", line, "journal"), self._tick)
        facts["proof"] = verifier.prove(self.expectations(active), {u: old[u] for u in active}, 0.0, ends)
        for unit in [unit for unit in others if unit in active]:
            if self.systemd.wait_job(unit, ends).get("ActiveState") not in RUNNING:
                raise StepFailed("unit_failed", "%s does not run again." % unit)

    def _ran(self) -> List[str]:
        """The units that ran before, of what was live."""
        before = self.state.before or {}
        if before["current"] is None:
            return []
        return [unit for unit, shown in before["units"].items() if shown.get("active") in RUNNING]

    def _has_fallen(self) -> bool:
        """Whether taking units over and back has ended one that ran."""
        shown = self.systemd.show(self._ran()) if self._takes_units() else {}
        return any(unit.get("ActiveState") not in RUNNING for unit in shown.values())

    def expectations(self, active: List[str]) -> List[Expectation]:
        """As it was before: a role that did not answer then is started and not asked now."""
        before = self.state.before or {}
        expectations = []
        for role in self.state.plan["roles"]:
            seen = before["health"].get(role["role"], {})
            units = [unit for unit in role["units"] if unit in active]
            if not units or (role["health"] and not seen.get("answered")):
                continue
            role = dict(role, units=units)
            version = None if seen.get("version") is None else str(seen["version"])
            expectations.append(Expectation(role, version, seen.get("release"), False))
        return expectations

    def _restored(self) -> str:
        before = self.state.before or {}
        if before["current"] is None:
            return "Nothing ran here before: the units are stopped, and nothing of the release is left."
        if self._boot or self._late:
            return "The server is back on %s, which starts with this boot." % before["current"]
        return "The server is back on %s." % before["current"]

    def _clean(self, facts: Record) -> None:
        """Take away what the run made and nobody uses. Trouble here changes nothing about the end."""
        before, plan = self.state.before, self.state.plan
        try:
            clear_leftovers(self.tree)
            for role in plan["roles"]:
                env = os.path.join(self.tree.envs, role["env_digest"] or "-")
                if os.path.isdir(env) and not os.path.exists(os.path.join(env, ".complete")):
                    discard(env)
            if before is None:
                return
            current = self.tree.current_release()
            if not before["had_release"] and current != plan["release"]:
                if os.path.isdir(self.tree.release(plan["release"])):
                    discard(self.tree.release(plan["release"]))
                unlink(self.tree.manifest_path(plan["release"]))
            used = {os.path.basename(self.tree.config_link(name) or "") for name in self.tree.release_names()}
            if not before["had_config"] and plan["config_digest"] not in used:
                path = os.path.join(self.tree.config, plan["config_digest"])
                if os.path.isdir(path):
                    discard(path)
        except OSError as error:
            facts["left_behind"] = "%s: %s" % (error.filename, error.strerror)

    def _result(self, status: str, reason: str, sentence: str, facts: Record) -> Record:
        state = self.state
        facts = dict(facts)
        facts["seconds"] = state.seconds
        facts["current"] = self.tree.current_release()
        facts["boot"] = self._boot or self._late
        for step in ("stage", "backup"):
            if step in state.facts:
                facts[step] = state.facts[step]
        if state.verified is not None:
            facts["proof"] = state.verified.get("facts", {})
        fields = {"status": status, "reason": reason, "sentence": sentence, "facts": facts}
        return self.recorder.record("result", fields)


def settle_last(
    tree: Tree,
    journal: Journal,
    emit: Callable[[Record], None],
    tick: Callable[[], None],
    cause: Record,
    boot: int = 0,
) -> Optional[Record]:
    """Settle the run that the journal shows as unfinished; None when there is none. The lock must be held.

    `boot`: EARLY, before anything else runs; a way back that has to run needs more, and is left to LATE, which the
    services wait for.
    """
    state = journal.last_run()
    if state is None or not state.unfinished:
        return None
    if not boot:
        refuse_before_the_boot(tree, Tools(state.deployment, tree.root))
    sweep(state.deployment, tree.root)  # what a dead agent's steps started must not go on beside what puts things back
    mine = {"deployment": state.deployment, "fence": state.fence, "seq": state.seq}
    recorder = Recorder(journal, emit, Masker(tree), mine, lenient=True)
    settler = Settler(tree, state, recorder, tick, boot)
    if boot == EARLY and settler.leaves_for_later():
        return None
    return settler.settle(cause)


DIED = {
    "reason": "agent_died",
    "sentence": "The agent was killed, or the server lost power, in the middle of the deployment.",
}


def plan_summary(plan: Record) -> Record:
    """What settling needs to know of a plan, for the journal."""
    kept = {key: value for key, value in plan.items() if key not in ("manifest", "config", "base")}
    return {**kept, "config_digest": plan["config"]["digest"]}
