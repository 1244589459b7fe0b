"""The rules that the kernel has, and those that a boot loads."""

from __future__ import annotations

import binascii

from .files import difference, put
from .firewall import rules_path, table_of
from .firewall_state import load_rules, looked_at, on_trial, pass_trial, try_rules
from .machine import Change, Machine, Operation
from .tools import call, must


def op_firewall(machine: Machine, operation: Operation) -> Change:
    """The kernel's rules, and the file that a boot loads them from. New strict rules only last once confirmed."""
    name, table = operation["name"], "inet " + table_of(operation["name"])
    state = looked_at(operation)
    if state.loaded is not None:
        machine.ours.refuse_foreign("table", table, "Give the application another name.")
    machine.ours.add("table", table)
    if state.before == state.after:
        return state.before, state.after
    machine.note = state.note()
    old, new = (state.loaded or "").encode(), (state.wanted or state.text).encode()
    machine.difference = difference(old, new, "loaded", "to be loaded")
    if not state.needs_trial:
        put(machine, rules_file(name, state.text))
    if not machine.plan:
        try_rules(name, state.text) if state.needs_trial else load_rules(name)
    return state.before, state.after


def rules_file(name: str, text: str) -> Operation:
    content = binascii.b2a_base64(text.encode(), newline=False).decode()
    rights = {"owner": "root", "group": "root", "mode": 0o644, "tolerated": [], "beside": {}}
    return {"path": rules_path(name), "content": content, "validate": ["nft", "-c", "-f", "{}"], **rights}


def op_firewall_confirmed(machine: Machine, operation: Operation) -> Change:
    """Somebody came in by a new connection while strict rules were on trial: they stay, and a boot loads them."""
    if not machine.plan and not on_trial(operation["name"]):
        return "kept", "kept"  # the kernel had them already
    if not machine.plan:
        put(machine, rules_file(operation["name"], pass_trial(operation["name"])))
        load_rules(operation["name"])
    return "on trial", "kept"


def op_no_firewall(machine: Machine, operation: Operation) -> Change:
    """Our table goes, whatever state the unit that loaded it is in."""
    table = "inet " + table_of(operation["name"])
    if call(["nft", "list", "table", *table.split()])[0] != 0:
        machine.ours.drop("table", table)
        return "no rules", "no rules"
    machine.ours.refuse_foreign("table", table, "It is not deleted.")
    if not machine.plan:
        must(["nft", "delete", "table", *table.split()])
    machine.ours.drop("table", table)
    return "rules", "no rules"
