"""What the portal, a boot and a person can ask of the agent."""

from __future__ import annotations

import os
import time
from typing import Callable, Dict, Optional

from .attached_command import verb_command
from .bake_watch import verb_watch
from .bytecode import PROGRAM
from .data import settle_restore, verb_data
from .dumps import refuse_unfinished
from .errors import Refused, StepFailed
from .files import canonical, read_json, readlink, swap_link, unlink, write_atomic
from .health import Expectation
from .inspection import verb_inspect, verb_matches, verb_verify
from .journal import Journal, RunState
from .limits import LOCK_TIMEOUT, PLAIN_NAME, REVERT_TIMEOUT, Record
from .lock import Lock, describe_owner, end_owner, take_lock
from .logs import verb_logs
from .processes import Tools, sweep
from .recorder import Masker, Recorder, outcome
from .request import check_plan, need
from .settle import DIED, EARLY, Settler, settle_last
from .supervisor import Supervisor
from .systemd import RUNNING
from .tree import Tree, clear_leftovers
from .unit_operations import verb_operate
from .units import take_units, taken
from .verification import Verifier
from .wire import Frames, Stream


def verb_run(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Carry a plan out: take the lock, settle what is unfinished, then supervise. Raises Refused."""
    plan = frames.request()
    check_plan(plan, tree)
    lock, ended = take_lock(tree, plan, stream, bool(plan["takeover"]))
    journal = Journal(tree)
    lock.own(plan["deployment"], plan["fence"], plan["deadline"])
    settle_restore(tree)
    try:
        recovered = settle_last(tree, journal, lambda record: None, stream.tick, DIED)
        refuse_unfinished(tree)
    except Refused:
        lock.release()
        raise
    for record in journal.of(plan["deployment"]):
        if record["kind"] == "run" and record["fence"] == plan["fence"]:
            raise Refused("already_ran", "Deployment %s was carried out here already." % plan["deployment"])
    clear_leftovers(tree)
    journal.close()
    journal.rotate()
    unlink(tree.cancel)
    if readlink(os.path.join(tree.deploy, "agent.py")) != os.path.basename(PROGRAM):
        swap_link(os.path.join(tree.deploy, "agent.py"), os.path.basename(PROGRAM))
    earlier = {"ended": ended, "settled": recovered} if ended or recovered else None
    result = Supervisor(tree, plan, lock, journal, stream, frames).run(earlier)
    lock.release()
    return result


def verb_revert(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Undo the last run of a deployment, though it succeeded: another server's failed."""
    request = frames.request()
    lock, _ = take_lock(tree, request, stream, takeover=False)
    try:
        journal = Journal(tree)
        lock.own(request["deployment"], request["fence"], REVERT_TIMEOUT)
        state = journal.last_run()
        run = (request["deployment"], request["run_fence"])  # another portal may have given the same number
        if state is None or (state.deployment, state.fence) != run:
            return outcome("none", "nothing_to_revert", "The last run on this server was another deployment's.")
        if state.result is not None and state.result["status"] != "succeeded":
            return state.result
        mine = {"deployment": state.deployment, "fence": state.fence, "seq": state.seq}
        cause = {
            "reason": "reverted_on_request",
            "sentence": "Another server of the environment failed, so this one was put back.",
        }
        Recorder(journal, stream.record, Masker(tree), mine).record("reverting", cause)
        return settle_last(tree, journal, hold_results(stream), stream.tick, cause) or state.result or {}
    finally:
        lock.release()


def hold_results(stream: Stream) -> Callable[[Record], None]:
    """Pass records on except the result, which `main` tells once the lock is free."""

    def emit(record: Record) -> None:
        if record["kind"] != "result":
            stream.record(record)

    return emit


def verb_cancel(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """End a deployment's run and undo it; the lock is free when this returns. Raises Refused."""
    request = frames.request()
    deployment = request["deployment"]
    seen, _ = tree.highest_fence()
    if request["fence"] < seen:
        raise Refused("fence_outdated", "This server has already heard from a newer attempt (fence %d)." % seen)
    lock = Lock(tree)
    ended: Optional[Record] = None
    if not lock.acquire(0):
        owner = lock.owner()
        if owner.get("deployment") != deployment:
            raise Refused("host_locked", describe_owner(owner) + ", not %s." % deployment, owner=owner)
        ended = end_owner(tree, lock, {"why": "cancel", "by": deployment}, stream)
    try:
        proof = sweep(deployment, tree.root)
        journal = Journal(tree)
        cause = {
            "reason": "cancelled",
            "sentence": "The deployment was cancelled; its agent had already died.",
            "status": "cancelled",
        }
        settle_last(tree, journal, hold_results(stream), stream.tick, cause)
        results = [record for record in journal.of(deployment) if record["kind"] == "result"]
        if not results:
            return outcome("none", "unknown", "Deployment %s never ran on this server." % deployment, proof=proof)
        facts = {**results[-1]["facts"], "ended": ended, "left": proof["left"]}
        return {**results[-1], "facts": facts}
    finally:
        lock.release()


def verb_recover(tree: Tree, frames: Frames, stream: Stream, boot: int = 0) -> Record:
    """Settle what a dead agent left unfinished; in a `boot`, EARLY before anything starts, LATE before the services."""
    if not boot:
        frames.request()
    lock = Lock(tree)
    if not lock.acquire(LOCK_TIMEOUT):
        owner = lock.owner()
        return outcome("running", "host_locked", describe_owner(owner) + ".", owner=owner)
    try:
        settle_restore(tree)
        journal = Journal(tree)
        state = journal.last_run()
        if state is None:
            return outcome("none", "nothing_to_recover", "No deployment ever ran on this server.")
        sweep(state.deployment, tree.root)
        try:
            settled = settle_last(tree, journal, hold_results(stream), stream.tick, DIED, boot)
        except Refused as error:
            return outcome("running", error.reason, str(error))
        if settled is not None or state.unfinished:
            if boot != EARLY:
                unlink(tree.unsettled)
            waits = "A hook's way back has to run, which happens before the services start."
            return settled or outcome("interrupted", "way_back_waits", waits)
        result = state.result or {}
        if result.get("facts", {}).get("boot") and not boot:
            return {**result, "facts": {**result["facts"], "since_boot": after_boot(tree, state, stream)}}
        return result
    finally:
        lock.release()


def after_boot(tree: Tree, state: RunState, stream: Stream) -> Record:
    """How the units that a boot started after it had settled a run are doing."""
    settler = Settler(tree, state, Recorder(Journal(tree), stream.record, Masker(tree), vars(state)), stream.tick, 0)
    current = tree.current_release()
    if current is None:
        return {"healthy": True, "sentence": "Nothing should run on this server."}
    if state.verified is None and state.before is not None:
        units = state.before["units"]
        expectations = settler.expectations([unit for unit, was in units.items() if was["active"] in RUNNING])
    else:
        version = tree.version_of(current)
        expectations = [Expectation(role, version, current, connected=False) for role in state.plan["roles"]]
    try:
        Verifier(settler.systemd, lambda line: None, stream.tick).prove(
            expectations, {}, 0.0, time.monotonic() + REVERT_TIMEOUT
        )
    except StepFailed as error:
        return {"healthy": False, "sentence": str(error)}
    return {"healthy": True, "sentence": "What should run on this server runs again."}


def verb_journal(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Tell a deployment's records after a number, so that the portal misses none."""
    request = frames.request()
    for record in Journal(tree).of(str(request["deployment"]), int(request["after"])):
        stream.record({"kind": "record", "record": record})
        stream.drain()
    return outcome("succeeded", "journal", "That is all.")


def verb_secret(tree: Tree, frames: Frames, stream: Stream) -> Record:
    """Put the value of a secret where services find it, and note its version."""
    request = frames.request()
    name, version = request["name"], request["version"]
    need(isinstance(name, str) and PLAIN_NAME.fullmatch(name), "the secret has no proper name")
    need(isinstance(version, int) and version > 0, "the version is no positive number")
    value = frames.value()
    lock = Lock(tree)
    if not lock.acquire(LOCK_TIMEOUT):
        raise Refused("host_locked", describe_owner(lock.owner()) + "; deliver the secret afterwards.")
    try:
        write_atomic(os.path.join(tree.secrets, name), value, 0o400)
        if taken(tree):
            take_units(tree, Tools("secret", tree.root))  # root hands units a copy of its own
        versions = read_json(tree.secret_versions, {})
        versions[name] = version
        write_atomic(tree.secret_versions, canonical(versions))
    finally:
        lock.release()
    return outcome("succeeded", "delivered", "The secret %s is on the server as version %d." % (name, version))


VERBS: Dict[str, Callable[[Tree, Frames, Stream], Record]] = {
    "run": verb_run,
    "revert": verb_revert,
    "cancel": verb_cancel,
    "recover": verb_recover,
    "journal": verb_journal,
    "secret": verb_secret,
    "verify": verb_verify,
    "matches": verb_matches,
    "inspect": verb_inspect,
    "watch": verb_watch,
    "operate": verb_operate,
    "command": verb_command,
    "logs": verb_logs,
    "data": verb_data,
}
