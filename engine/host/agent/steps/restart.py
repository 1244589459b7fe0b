"""restart: the units, one after the other, each only once the one before has started."""

from __future__ import annotations

from ..errors import StepFailed
from ..limits import Record
from ..processes import wait_exit
from ..systemd import explain, keeps_running
from .work import Work


def restart(work: Work) -> Record:
    """Restart in the plan's order; what does not end or start in time fails the step."""
    work.tree.check_fence(work.plan["fence"])
    showing = work.systemd.start_show(work.units) if work.units else None
    for unit in work.units:
        work.systemd.reset(unit)
    work.old_units = work.systemd.finish_show(showing, work.units) if showing else {}
    restarted = [unit for unit in work.units if not keeps_running(unit, work.old_units[unit])]
    work.old_units = {unit: work.old_units[unit] for unit in restarted}
    last = len(restarted) - 1
    for number, unit in enumerate(restarted):
        work.systemd.restart(unit)
        if not wait_exit(int(work.old_units[unit].get("MainPID") or 0), work.step_ends):
            raise StepFailed("unit_stuck", "The old process of %s does not end." % unit)
        if number < last:
            _started(work, unit)
    return {"units": restarted}


def _started(work: Work, unit: str) -> None:
    """The next unit is left alone where this one does not start: what would follow runs what it ran."""
    shown = work.systemd.wait_job(unit, work.step_ends)
    if shown.get("ActiveState") == "failed" or shown.get("SubState") == "auto-restart":
        explain(work.systemd, [unit], lambda line: work.recorder.log("restart", line, "journal"))
        raise StepFailed("unit_failed", "%s failed to start (%s)." % (unit, shown.get("Result", "")))
