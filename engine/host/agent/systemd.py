"""The units of a plan: what systemd shows of them, and the three commands that need root."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List

from .errors import StepFailed
from .limits import SUDO, SYSTEMCTL, Shown
from .processes import Tools

RUNNING = ("active", "activating", "reloading")
UNIT_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,Result,NRestarts,MainPID,InvocationID,UnitFileState,FragmentPath,"
    "NeedDaemonReload,ControlGroup,Job,Type,TriggeredBy,RemainAfterExit,DropInPaths,"
    "LastTriggerUSec,NextElapseUSecRealtime,NextElapseUSecMonotonic,ExecMainExitTimestamp,ExecMainStatus"
)


def sudo_commands(unit: str) -> List[List[str]]:
    """What the agent needs root for: exactly these for each unit; commands.provisioning puts the same into sudoers."""
    return [
        [SYSTEMCTL, "reset-failed", unit],
        [SYSTEMCTL, "--no-block", "restart", unit],
        [SYSTEMCTL, "--no-block", "stop", unit],
    ]


class Systemd:
    """The units of a plan. Restarts are queued, not waited for by a root process that we could not kill."""

    def __init__(self, tools: Tools, tick: Callable[[], None] = lambda: None) -> None:
        self.tools = tools
        self._tick = tick

    def soon(self, ends: float) -> float:
        """When a wait until `ends` has to stop for a sign of life."""
        self._tick()
        return min(ends, time.monotonic() + 1)

    def over(self, ends: float) -> bool:
        """Whether `ends` has come."""
        return time.monotonic() >= ends

    def start_show(self, units: List[str]) -> Any:
        """Ask about units without waiting for the answer."""
        return self.tools.start([SYSTEMCTL, "show", "-p", UNIT_PROPERTIES, *units], merge=False)

    def finish_show(self, process: Any, units: List[str]) -> Shown:
        """The answer to `start_show`. Raises StepFailed when there is none."""
        code, output = self.tools.finish(process)
        if code != 0:
            raise StepFailed("systemd_silent", "systemctl show failed on this server: %s" % (output or "no output"))
        blocks = [dict(line.partition("=")[::2] for line in b.splitlines()) for b in output.split("\n\n")]
        return dict(zip(units, blocks))

    def show(self, units: List[str]) -> Shown:
        """How units are now. Raises StepFailed when systemd does not say."""
        return self.finish_show(self.start_show(units), units) if units else {}

    def _root(self, argv: List[str]) -> None:
        code, output = self.tools.call([*SUDO, *argv])
        if code != 0:
            raise StepFailed("systemctl_failed", "'%s' failed: %s" % (" ".join(argv), output or "exit code %d" % code))

    def reset(self, unit: str) -> None:
        """systemd refuses the sixth start within ten seconds; deployment, rollback and retry together reach that."""
        self._root(sudo_commands(unit)[0])

    def restart(self, unit: str) -> None:
        """Queue a restart; `wait_job` tells when it is done."""
        self._root(sudo_commands(unit)[1])

    def stop(self, unit: str) -> None:
        """Queue a stop."""
        self._root(sudo_commands(unit)[2])

    def quieten(self, shown: Shown, ends: float) -> Shown:
        """Stop what only waits to be started again by systemd: what it did is not counted against our own start of it.

        systemd (252) keeps the counter of restarts of a unit that is restarted in this state. Returns how they are.
        """
        looping = [unit for unit, now in shown.items() if now.get("SubState") == "auto-restart"]
        for unit in looping:
            self.stop(unit)
        for unit in looping:
            self.wait_job(unit, ends)
        return {**shown, **self.show(looping)}

    def wait_job(self, unit: str, ends: float) -> Dict[str, str]:
        """Until systemd has nothing queued for the unit any more."""
        pause = 0.01
        while True:
            shown = self.show([unit])[unit]
            waits = shown.get("SubState") == "auto-restart"  # it has ended; systemd only waits to try again
            moves = shown.get("ActiveState") in ("activating", "deactivating") and not waits
            if shown.get("Job", "") in ("", "0") and not moves:
                return shown
            if time.monotonic() > ends:
                return shown
            self._tick()
            time.sleep(pause)
            pause = min(pause * 2, 0.2)


def keeps_running(unit: str, shown: Dict[str, str]) -> bool:
    """A listening socket is nothing of a release: it stays, so that nobody is turned away while its service restarts.

    systemd would refuse to restart it under a running service anyway.
    """
    return unit.endswith(".socket") and shown.get("ActiveState") == "active"


def starting_order(units: List[str]) -> List[str]:
    """As they come, sockets first: systemd opens none whose service runs already."""
    return sorted(units, key=lambda unit: not unit.endswith(".socket"))


def explain(systemd: Systemd, units: List[str], log: Callable[[str], None]) -> None:
    """Put the end of what the units said into the log, for whoever wants to know why."""
    for unit in units:
        argv = ["/usr/bin/journalctl", "-q", "--no-pager", "-o", "cat", "-n", "30", "-u", unit]
        for line in systemd.tools.call(argv)[1].splitlines():
            log("%s: %s" % (unit, line))
