"""The provisioning interpreter: carries out idempotent operations, given as data, as root on a server.

Python >= 3.9, standard library alone; sent with the modules it imports as one file. It reads one JSON request from
standard input, {"protocol": 1, "plan": bool, "operations": [...]}, looks at how each thing is, changes what differs
(with "plan" it only says so) and answers with a JSON line per operation. All are planned before the first is done: what
can be refused is refused before anything has changed. What fails later ends it, and what was done stays done.

What has the name of something of ours and was not made by provisioning (see ownership) is refused, and no path leads
through a directory that others may write to (see paths).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Callable, Dict, List, Optional

from .compiled import op_compiled
from .directories import op_cleared, op_directory
from .facts import op_facts
from .files import op_absent, op_file, op_link
from .firewall_rules import op_firewall, op_firewall_confirmed, op_no_firewall
from .inventory import LOOK, recorded_operations
from .kept_pip import op_pip
from .machine import Change, Machine, Operation
from .ownership import ours
from .paths import Refused
from .units import op_bounds, op_ended, op_unit, op_unit_check, op_units, op_units_dropped
from .users import op_authorized_key, op_member, op_package, op_user

if sys.version_info < (3, 9):  # said in a sentence rather than as a SyntaxError
    sys.stdout.write(
        '{"kind": "report", "operation": "facts", "name": "Python", "state": "failed", "before": "", "after": "", '
        '"facts": {}, "sentence": "This server has Python %d.%d; 3.9 is the least. Upgrade it (Debian 12 has 3.11)."}\n'
        % sys.version_info[:2]
    )
    sys.exit(1)

PROTOCOL = 1


def op_ownership(machine: Machine, operation: Operation) -> Change:
    """What of this application is ours here; everything after it asks."""
    machine.ours = ours(operation["name"], machine.operations, machine.plan)
    return "known", "known"


OPERATIONS: Dict[str, Callable[[Machine, Operation], Any]] = {
    "facts": op_facts,
    "package": op_package,
    "pip": op_pip,
    "user": op_user,
    "member": op_member,
    "directory": op_directory,
    "file": op_file,
    "absent": op_absent,
    "compiled": op_compiled,
    "cleared": op_cleared,
    "link": op_link,
    "authorized_key": op_authorized_key,
    "ownership": op_ownership,
    "firewall": op_firewall,
    "firewall_confirmed": op_firewall_confirmed,
    "no_firewall": op_no_firewall,
    "unit_check": op_unit_check,
    "units": op_units,
    "bounds": op_bounds,
    "units_dropped": op_units_dropped,
    "unit": op_unit,
    "ended": op_ended,
}


def carry_out(machine: Machine, operation: Operation) -> Dict[str, Any]:
    """One operation, and the report on it."""
    facts: Dict[str, Any] = {}
    before = after = ""
    problem: Optional[str] = None
    machine.difference, machine.note = [], ""
    try:
        change = OPERATIONS[operation["op"]](machine, operation)
        if operation["op"] == "facts":
            change, facts = change
        before, after = change
    except Refused as error:
        problem = str(error)
    except (OSError, KeyError, ValueError) as error:
        problem = "%s: %s" % (type(error).__name__, error)
    state = "failed" if problem else "ok" if before == after else "changed"
    return {
        "kind": "report",
        "operation": operation["op"],
        "name": operation["title"],
        "state": state,
        "sentence": problem or sentence(machine, operation, state),
        "before": before,
        "after": after,
        "facts": facts,
        "difference": machine.difference,
    }


def sentence(machine: Machine, operation: Operation, state: str) -> str:
    if state == "ok":
        return "%s: as it should be." % operation["title"]
    said = "%s: %s." % (operation["title"], "would be changed" if machine.plan else "changed")
    return "%s %s" % (said, machine.note) if machine.note else said


def main() -> None:
    """Read the request, carry it out, say so; or look at what was done before."""
    if sys.argv[1:2] == [LOOK]:
        look(sys.argv[2])
        return
    request = json.loads(sys.stdin.buffer.read())
    if request.get("protocol") != PROTOCOL:
        raise SystemExit("the request is not of protocol %d; update the portal" % PROTOCOL)
    if os.geteuid() != 0:
        raise SystemExit("provisioning needs root, or a bootstrap account that may become root by sudo")
    os.umask(0o022)
    if not request["plan"]:
        rehearse(request["operations"])
    machine = Machine(bool(request["plan"]), request["operations"])
    for operation in request["operations"]:
        tell(carry_out(machine, operation))


def look(name: str) -> None:
    """Report what of an earlier provisioning's work is not so any more. Nothing is read from whoever asks."""
    try:
        operations = recorded_operations(name)
    except Refused as error:
        raise SystemExit(str(error)) from None
    machine = Machine(True, operations)
    for operation in operations:
        report = carry_out(machine, operation)
        if report["state"] != "ok":
            say(report)
    say({"kind": "looked", "things": len(operations)})


def rehearse(operations: List[Operation]) -> None:
    """Plan everything first, so that a refusal leaves the server as it was."""
    machine = Machine(True, operations)
    for operation in operations:
        report = carry_out(machine, operation)
        if report["state"] == "failed":
            tell(report)


def say(record: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def tell(report: Dict[str, Any]) -> None:
    say(report)
    if report["state"] == "failed":
        raise SystemExit(1)


if __name__ == "__main__":
    main()
