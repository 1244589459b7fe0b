"""One plan, step by step, in the worker."""

from __future__ import annotations

from typing import Callable, Dict

from .errors import as_failure
from .fault_injection import inject_fault
from .hooks import hook_at
from .limits import MOMENTS, Record
from .steps.activate import activate
from .steps.backup import backup
from .steps.dependencies import dependencies
from .steps.hook import hook
from .steps.preflight import preflight
from .steps.prune import prune
from .steps.restart import restart
from .steps.stage import stage
from .steps.verify import verify
from .steps.work import Work

STEPS: Dict[str, Callable[[Work], Record]] = {
    "preflight": preflight,
    "stage": stage,
    "dependencies": dependencies,
    "backup": backup,
    "before_activate": hook("before_activate"),
    "activate": activate,
    "after_activate": hook("after_activate"),
    "restart": restart,
    "verify": verify,
    "after_success": hook("after_success"),
    "prune": prune,
}
"""By the names that plans, journals and people know, in their order."""

_AFTERWARDS = {"after_success": "%s The release stays.", "prune": "Old releases were not deleted: %s"}


def carry_out(work: Work) -> Record:
    """All steps; returns the facts of the verification. Raises StepFailed, Hangup, OSError."""
    proof: Record = {}
    for step, do in STEPS.items():
        if step in MOMENTS and hook_at(work.plan, step) is None:
            continue
        begun = work.recorder.begin(step)
        # the supervisor ends a step at its deadline; half a second before, it still can say itself what is wrong
        limit = work.plan["deadlines"].get(step)
        work.step_ends = min(work.ends, begun + limit if limit else work.ends) - 0.5
        try:
            inject_fault(work.tree, work.tools, step, work.recorder)
            facts = do(work)
            inject_fault(work.tree, work.tools, step + "-end", work.recorder)
        except Exception as error:
            failure = as_failure(error, step)
            work.recorder.end(step, "failed", begun, {"reason": failure.reason, **failure.facts})
            if step in _AFTERWARDS:  # best effort: what was verified stays
                work.recorder.log(step, _AFTERWARDS[step] % failure)
                continue
            raise failure from error
        if step == "preflight":
            work.recorder.record("before", work.before)
        work.recorder.end(step, "ok", begun, facts)
        if step == "verify":
            proof = facts
            work.recorder.record("verified", {"facts": facts})
    return proof
