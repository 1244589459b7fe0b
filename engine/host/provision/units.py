"""Units: whether a release may bring them, what root puts beside them, their place in the boot."""

from __future__ import annotations

import binascii
import json
from typing import Dict

from .machine import Change, Machine, Operation
from .paths import Refused
from .root_files import put_root_file
from .switching import bounds_of_others, drop_units, record_path, roles_path, take_units
from .tools import call, must
from .unit_checks import refuse_units


def op_unit_check(machine: Machine, operation: Operation) -> Change:
    """No unit of a release is installed that says what it may not, or takes a name or directory of others."""
    units = {unit: binascii.a2b_base64(content) for unit, content in operation["units"].items()}
    refuse_units(operation["name"], units, operation["runs_as"], operation["more"], machine.ours)
    return "allowed", "allowed"


def op_units(machine: Machine, operation: Operation) -> Change:
    """systemd knows the units of the release that is live, with root's bounds; from now on deployments switch them."""
    name = operation["name"]
    if not machine.plan:
        put_root_file(roles_path(name), json.dumps(operation["roles"]).encode(), 0o644)
        machine.ours.add("file", roles_path(name))
        machine.ours.add("file", record_path(name))
    elif wide := bounds_of_others(machine.ours):  # they go first, whatever is live and may be said of it
        return "%s beside units of others" % ", ".join(wide), "removed"
    switched = take_units(name, machine.ours, machine.plan, roles=operation["roles"])
    return "as the release has them" if not switched else "other units or bounds", "as the release has them"


def op_bounds(machine: Machine, operation: Operation) -> Change:
    """What root put beside those units, and what the deploying account may do with them; a look, and no more."""
    wide = bounds_of_others(machine.ours)
    if wide:
        return "%s beside units of others" % ", ".join(wide), "removed"
    bounded = take_units(operation["name"], machine.ours, True, roles=operation["roles"]).bounded
    return "%s changed" % ", ".join(bounded) if bounded else "as root wrote them", "as root wrote them"


def op_units_dropped(machine: Machine, operation: Operation) -> Change:
    """What was put beside the units of releases goes, and root's copies of what they read."""
    there = drop_units(operation["name"], machine.ours, machine.plan)
    return "there" if there else "absent", "absent"


def op_unit(machine: Machine, operation: Operation) -> Change:
    """A unit's place in the boot, and whether it runs; restarted when one of `restart_on` was changed just now."""
    name = operation["name"]
    changed = [path for path in operation["restart_on"] if path in machine.changed_paths]
    if not machine.plan and machine.changed_paths:
        must(["systemctl", "daemon-reload"])
    shown = unit_state(name)
    if shown["LoadState"] != "loaded" and not machine.plan:
        raise Refused("systemd does not know %s (%s)." % (name, shown["LoadState"]))
    before, after = [], []
    if operation["enabled"] is not None:
        before.append(shown["UnitFileState"] or "not installed")
        after.append("enabled" if operation["enabled"] else "disabled")
        if shown["UnitFileState"] == "static":
            after[-1] = "static"
        if before[-1] != after[-1] and not machine.plan:
            must(["systemctl", "enable" if operation["enabled"] else "disable", "--quiet", "--", name])
    theirs = operation["package"] and not machine.ours.has("package", operation["package"])
    if operation["started"] is not None:
        running = shown["ActiveState"] in ("active", "activating")
        before.append("running" if running else "stopped")
        after.append("running" if operation["started"] else "stopped")
        if changed and running and operation["started"]:
            after[-1] = "running, restarted"
        if theirs and running and not operation["started"]:
            raise Refused("%s runs here, and was not installed by provisioning. Stop and disable it first." % name)
        if before[-1] != after[-1] and not machine.plan:
            verb = "stop" if not operation["started"] else "restart" if running else "start"
            must(["systemctl", verb, "--", name])
    return ", ".join(before), ", ".join(after)


def op_ended(machine: Machine, operation: Operation) -> Change:
    """A unit that neither runs nor starts at boot; one that systemd does not know is as good."""
    name, shown = operation["name"], unit_state(operation["name"])
    files = [operation["ours_by"], "/etc/systemd/system/" + name]
    if shown["LoadState"] == "not-found" or not any(machine.ours.has("file", path) for path in files):
        if shown["FragmentPath"]:
            raise Refused("The unit %s was not made by provisioning, and is not ended." % name)
        return "ended", "ended"
    runs = shown["ActiveState"] not in ("inactive", "failed")
    starts = shown["UnitFileState"] in ("enabled", "enabled-runtime")
    if not machine.plan:
        if runs:
            must(["systemctl", "stop", "--", name])
        if starts:
            must(["systemctl", "disable", "--quiet", "--", name])
        call(["systemctl", "reset-failed", "--", name])
    words = [word for word, true in (("running", runs), ("starts at boot", starts)) if true]
    return ", ".join(words) or "ended", "ended"


def unit_state(name: str) -> Dict[str, str]:
    output = must(["systemctl", "show", "-p", "LoadState,ActiveState,UnitFileState,FragmentPath", "--", name])
    return {"UnitFileState": "", "FragmentPath": "", **dict(line.partition("=")[::2] for line in output.splitlines())}
