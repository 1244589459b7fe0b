"""What the journal says of units since a moment: their errors, and each time that one of them broke down."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Set

from .errors import StepFailed
from .limits import Record
from .processes import Tools

# sd-messages.h: what systemd itself says of a unit, under names that do not depend on its language
RESTART_SCHEDULED = "5eb03494b6584870a536b337290809b3"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"
FIELDS = "MESSAGE,MESSAGE_ID,PRIORITY,UNIT,UNIT_RESULT,_SYSTEMD_INVOCATION_ID,INVOCATION_ID,__REALTIME_TIMESTAMP"


class History(NamedTuple):
    """Error-level lines; how often systemd restarted each unit by itself, when last, and as what each ended badly."""

    errors: List[Record]
    restarts: Dict[str, int]
    latest: Dict[str, float]
    failures: Dict[str, List[str]]


def ask_journal(tools: Tools, units: List[str], since: float) -> Any:
    """Begin to ask, and do not wait; `read_journal` has the answer. One question, since each costs a process."""
    errors = ["PRIORITY=%d" % level for level in range(4)]
    said, about = ["_SYSTEMD_UNIT=" + unit for unit in units], ["UNIT=" + unit for unit in units]
    events = ["MESSAGE_ID=" + RESTART_SCHEDULED, "MESSAGE_ID=" + FAILED]
    dumped = ["MESSAGE_ID=" + COREDUMP, "_UID=0", *("COREDUMP_UNIT=" + unit for unit in units)]
    argv = ["/usr/bin/journalctl", "-q", "--no-pager", "-o", "json", "--output-fields=" + FIELDS]
    argv += ["--since", "@%d" % since, *errors, *said, "+", *errors, "_PID=1", *about, "+", *errors, *dumped]
    return tools.start([*argv, "+", "_PID=1", *events, *about])


def read_journal(process: Any, since: float, earlier: Set[Any]) -> History:
    """The answer, without what was before `since` (epoch seconds) or is of these earlier starts. Raises StepFailed."""
    code, output = Tools.finish(process)
    if code != 0:
        raise StepFailed("journal_unreadable", "journalctl failed on this server: %s" % output)
    history = History([], {}, {}, {})
    for line in output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        entry["at"] = float(entry.get("__REALTIME_TIMESTAMP", 0)) / 1e6
        if entry["at"] < since or (entry.get("_SYSTEMD_INVOCATION_ID") or entry.get("INVOCATION_ID")) in earlier:
            continue
        unit = str(entry.get("UNIT", ""))
        if entry.get("MESSAGE_ID") == RESTART_SCHEDULED:
            history.restarts[unit] = history.restarts.get(unit, 0) + 1
            history.latest[unit] = entry["at"]
        elif entry.get("MESSAGE_ID") == FAILED:
            history.failures.setdefault(unit, []).append(str(entry.get("UNIT_RESULT", "")))
        else:
            history.errors.append(entry)
    return history
