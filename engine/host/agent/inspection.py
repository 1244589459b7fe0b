"""Verbs that look and change nothing."""

from __future__ import annotations

import os
import sys
import time
from typing import List, Optional

from .bytecode import PROGRAM
from .errors import StepFailed
from .files import read_bytes, read_json, sha256_file
from .health import Expectation, probe
from .integrity import environment_problems, secret_proofs
from .journal import Journal, RunState
from .limits import RELEASE_NAME, REVERT_TIMEOUT, Record
from .lock import Lock
from .processes import Tools
from .recent_activity import look_back
from .recorder import outcome
from .releases import release_problems
from .request import check_roles, config_digest, need
from .systemd import Systemd
from .tree import Tree
from .unit_overrides import overrides_of_all
from .verification import Verifier
from .watch import at_work, condition
from .wire import Frames, Stream


def verb_verify(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Prove that a release runs here whole and healthy, without a deployment."""
    request = frames.request()
    check_roles(request["roles"])
    current = tree.current_release()
    if current != request["release"]:
        return outcome("failed", "wrong_release", "The server runs %s, not %s." % (current, request["release"]))
    rows = tree.manifest(request["release"])
    problems = release_problems(tree.release(request["release"]), rows, stream.tick) if rows else [("", "no manifest")]
    if problems:
        sentence = "%d files of the release are not as they should be, %s first (%s)." % (
            len(problems),
            problems[0][0] or request["release"],
            problems[0][1],
        )
        return outcome("failed", "files_wrong", sentence, problems=problems[:100])
    required = request["require_connected"] != "no"
    expectations = [Expectation(role, request["version"], request["release"], required) for role in request["roles"]]
    systemd = Systemd(Tools("verify", tree.root))
    verifier = Verifier(systemd, lambda line: None, stream.tick)
    try:
        facts = verifier.prove(expectations, {}, 0.0, time.monotonic() + REVERT_TIMEOUT, watch=False)
        facts["units"] = look_back(tree, systemd, request["roles"])
    except StepFailed as error:
        return outcome("failed", error.reason, str(error), **error.facts)
    digests = {unit: digest for role in request["roles"] for unit, digest in role["unit_files"].items()}
    found = overrides_of_all(list(facts["units"]), verifier.shown, digests)
    if found.elsewhere or found.gone:
        sentence = "%s runs, and that is not what the server would run later: " % request["release"]
        return outcome("failed", "units_differ", sentence + " ".join(found.elsewhere + found.gone), **facts)
    said = [facts["watched"], *facts["units"].values(), *(line.rstrip(".") for line in found.additions)]
    sentence = "%s runs; looked at: %s." % (request["release"], "; ".join(said))
    return outcome("succeeded", "verified", sentence, **facts)


def verb_matches(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Whether a release lies here exactly as a manifest of the portal's says."""
    request = frames.request()
    name = request["release"]
    need(RELEASE_NAME.fullmatch(name), "the release has no proper name")
    if not os.path.isdir(tree.release(name)):
        return outcome("failed", "release_missing", "%s is not on this server." % name)
    problems = release_problems(tree.release(name), [tuple(row) for row in request["manifest"]], stream.tick)
    if problems:
        sentence = "%d files of %s differ, %s first (%s)." % (len(problems), name, problems[0][0], problems[0][1])
        return outcome("failed", "files_wrong", sentence, problems=problems[:100])
    return outcome("succeeded", "whole", "%s lies on this server whole." % name)


def verb_inspect(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """All that is true here: releases, fence, lock, last run, units, health, disk, secrets."""
    request = frames.request()
    check_roles(request["roles"])
    journal = Journal(tree)
    state = journal.last_run()
    roles = request["roles"] or (state.plan["roles"] if state else [])
    disk = os.statvfs(tree.root)
    seen, fenced = tree.highest_fence()
    lock = Lock(tree)
    held = lock.held()
    current = tree.current_release()
    facts = {
        "current": current,
        "config": os.path.basename(tree.config_link(current) or "") or None,
        "config_whole": config_whole(tree, current),
        "releases": [{"id": name, "complete": tree.manifest(name) is not None} for name in tree.release_names()],
        "fence": seen,
        "fence_deployment": fenced,
        "lock": {**(lock.owner() if held else {}), "held": held},
        "run": inspect_run(state, held) if state else None,
        "units": inspect_units(tree, [unit for role in roles for unit in role["units"]]),
        "health": {role["role"]: probe(role["health"]) for role in roles if role["health"]},
        "disk": {"free": disk.f_bavail * disk.f_frsize, "total": disk.f_blocks * disk.f_frsize},
        "python": "%d.%d.%d" % sys.version_info[:3],
        "clock": time.time(),
        "secrets": read_json(tree.secret_versions, {}),
        "environments": {
            role["role"]: environment_problems(tree, role["env_digest"]) for role in roles if role["env_digest"]
        },
        "agent": os.path.basename(os.path.realpath(PROGRAM)),
    }
    if request.get("nonce"):
        facts["secret_proofs"] = secret_proofs(tree, str(request["nonce"]))
    facts["hash"] = {name: inspect_release(tree, name, stream) for name in request["hash"]}
    return outcome("succeeded", "inspected", "That is what is true here.", **facts)


def inspect_run(state: RunState, held: bool) -> Record:
    """How far the last run came."""
    return {
        "deployment": state.deployment,
        "fence": state.fence,
        "release": state.plan["release"],
        "step": state.begun[-1] if state.begun else None,
        "status": state.result["status"] if state.result else ("running" if held else "unfinished"),
        "verified": state.verified is not None,
        "seq": state.seq,
    }


def inspect_release(tree: Tree, name: str, stream: Stream) -> List[List[str]]:
    """How a release differs from its manifest: path and what is wrong."""
    need(RELEASE_NAME.fullmatch(name), "a release has no proper name")
    rows = tree.manifest(name)
    if rows is None or not os.path.isdir(tree.release(name)):
        return [["", "missing"]]
    return [list(problem) for problem in release_problems(tree.release(name), rows, stream.tick)]


def config_whole(tree: Tree, release: str | None) -> bool | None:
    """Whether the live configuration is what its digest says; None when there is none."""
    link = tree.config_link(release)
    if link is None:
        return None
    directory = os.path.join(tree.config, os.path.basename(link))
    try:
        files = {name: read_bytes(os.path.join(directory, name)) for name in os.listdir(directory)}
    except OSError:
        return False
    return config_digest(files) == os.path.basename(link)


def inspect_units(tree: Tree, units: List[str]) -> List[Record]:
    """Each unit as systemd shows it, with the digest of its file."""
    found = []
    shown = Systemd(Tools("inspect", tree.root)).show(units)
    for unit in units:
        values = shown[unit]
        try:
            digest: Optional[str] = sha256_file("/etc/systemd/system/" + unit)
        except OSError:
            digest = None
        found.append(
            {
                "unit": unit,
                "active": values.get("ActiveState"),
                "sub": values.get("SubState"),
                "restarts": int(values.get("NRestarts") or 0),
                "pid": int(values.get("MainPID") or 0),
                "enabled": values.get("UnitFileState"),
                "problem": "" if at_work(values) else (condition(unit, shown) or ("", ""))[1],
                "needs_reload": values.get("NeedDaemonReload") == "yes",
                "sha256": digest,
                "path": values.get("FragmentPath", ""),
                "drop_ins": values.get("DropInPaths", "").split(),
            }
        )
    return found
