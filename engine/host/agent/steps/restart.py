"""restart: the units, one after the other, each only once the one before has started."""

from __future__ import annotations

from ..limits import Record
from ..restarting import restart_units
from .work import Work


def restart(work: Work) -> Record:
    """Restart in the plan's order, sockets first; what does not end or start in time fails the step."""
    work.tree.check_fence(work.plan["fence"])

    def log(line: str) -> None:
        work.recorder.log("restart", line, "journal")

    work.restarted = restart_units(work.systemd, work.units, work.step_ends, log)
    return {"units": list(work.restarted.old)}
