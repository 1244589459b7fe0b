"""The snapshot of a request as data, its seal, and what two snapshots differ in."""

import hashlib
import json
from typing import Any

Snapshot = dict[str, Any]

_WORDS = {
    "release": "the release",
    "configuration": "the configuration",
    "targets": "the servers",
    "plan": "the plan",
    "policy": "the policy",
    "consent": "the success that it goes back to",
}


def canonical(snapshot: Snapshot) -> bytes:
    """The one byte form of a snapshot: sorted keys, no spaces, UTF-8."""
    return json.dumps(snapshot, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(snapshot: Snapshot) -> str:
    """sha256 (hex) of the canonical form: what an approver approves."""
    return hashlib.sha256(canonical(snapshot)).hexdigest()


def differences(sealed: Snapshot, now: Snapshot) -> list[str]:
    """One sentence for every sealed input that differs now; empty when nothing does."""
    found = [f"The {key} changed." for key in ("kind", "environment", "application") if sealed.get(key) != now.get(key)]
    for key, word in _WORDS.items():
        if sealed.get(key) == now.get(key):
            continue
        if key == "targets":
            found += _target_differences(sealed.get(key, []), now.get(key, []))
        elif isinstance(sealed.get(key), dict) and isinstance(now.get(key), dict):
            found.append(f"{word[0].upper()}{word[1:]} changed: {_changed_keys(sealed[key], now[key])}.")
        else:
            found.append(f"{word[0].upper()}{word[1:]} changed.")
    return found


def _changed_keys(before: dict[str, Any], after: dict[str, Any]) -> str:
    keys = sorted(set(before) | set(after))
    return ", ".join(key for key in keys if before.get(key) != after.get(key))


def _target_differences(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    old = {target["server"]: target for target in before}
    new = {target["server"]: target for target in after}
    found = [f"Server {name} was added." for name in new if name not in old]
    found += [f"Server {name} was removed." for name in old if name not in new]
    for name in old.keys() & new.keys():
        if old[name].get("base") != new[name].get("base"):
            found.append(f"Another release runs on {name} now.")
        rest = [key for key in old[name] if key != "base" and old[name][key] != new[name].get(key)]
        if rest:
            found.append(f"Server {name} changed: {', '.join(sorted(rest))}.")
    if not found:
        found.append("The order of the servers changed.")
    return sorted(found)
