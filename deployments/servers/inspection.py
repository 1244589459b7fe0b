"""Comparing servers with their records: verification on demand, drift, and whether a rollback would work."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import selectors
from deployments.core.actors import Actor
from deployments.core.sessions import open_session
from deployments.http.server_slots import server_slot
from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment, Release, Server
from deployments.notifications.messages import notify_environment
from deployments.releases.role_plans import roles_on
from deployments.requests.rollback_targets import rollback_target
from deployments.servers.drift import (
    as_far_as_looked,
    counted,
    differing_files,
    drift_of,
    not_looked_at,
    provisioning_drift,
    secret_faults,
)
from engine.errors import Conflict, PortalError
from engine.remote import AgentClient
from engine.remote.inventory import check_inventory

_NOTHING_REPAIRED = (
    "Nothing was repaired. A deployment of the same release puts back what is its own, `provision` the rest."
)


@dataclass(frozen=True)
class Finding:
    """What was found on one server. `well` is None when it could not be asked."""

    server: str
    well: bool | None
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Extent:
    """How far a comparison reached: `things` of provisioning that were looked at, and in words what was `missed`.

    Beside it what it saw: the `files` that differ, each with how, and the room left on the `disk`, in bytes.
    """

    things: int = 0
    missed: list[str] = field(default_factory=list)
    files: list[list[str]] = field(default_factory=list)
    disk: dict[str, int] = field(default_factory=dict)


def verify_environment(*, actor: Actor, environment: Environment) -> list[Finding]:
    """Run the verification of a deployment on what runs now, on every server; changes nothing."""
    require(actor, Verb.VERIFY, environment)
    with server_slot():
        return [_verify(server) for server in _deployed(environment)]


def find_drift(*, actor: Actor, environment: Environment) -> list[Finding]:
    """Compare every server with its record, and look whether its rollback target is whole.

    Stored on the servers' records and shown; never repaired here. A change of what was found is an audit event.
    """
    require(actor, Verb.VERIFY, environment)
    with server_slot():
        return [_compare(actor, server) for server in _deployed(environment)]


def verify_server(*, actor: Actor, server: Server) -> Finding:
    """`verify_environment` for one server. Raises NotAllowed, Conflict where nothing runs."""
    require(actor, Verb.VERIFY, server.environment)
    with server_slot():
        return _verify(_running(server))


def compare_server(*, actor: Actor, server: Server) -> Finding:
    """`find_drift` for one server. Raises NotAllowed, Conflict where nothing runs."""
    require(actor, Verb.VERIFY, server.environment)
    with server_slot():
        return _compare(actor, _running(server))


def _running(server: Server) -> Server:
    found = next((one for one in _deployed(server.environment) if one.pk == server.pk), None)
    if found is None:
        raise Conflict(f"Nothing has been deployed to {server} yet.", hint="Deploy first.", reason="nothing_runs")
    return found


def inspect_all(*, actor: Actor, only: int | None = None) -> int:
    """`find_drift` for all environments (or one, by id) in which nothing runs now; returns how many servers differ.

    What was found is on the servers' records, in the metric `portal_server_drift`, and told when it changes.
    """
    environments = Environment.objects.all() if only is None else Environment.objects.filter(pk=only)
    return sum(
        finding.well is False
        for environment in environments
        if not Deployment.objects.active().filter(environment=environment).exists()
        for finding in find_drift(actor=actor, environment=environment)
    )


def _deployed(environment: Environment) -> list[Server]:
    return list(
        environment.servers.filter(state=Server.State.PROVISIONED, current_release__isnull=False).select_related(
            "environment", "current_release", "previous_release"
        )
    )


def _verify(server: Server) -> Finding:
    release = server.current_release
    assert release is not None  # noqa: S101  (_deployed selects by it)
    try:
        with open_session(server) as session:
            result = AgentClient(session, release.name).verify(
                release.identifier, release.version, roles_on(server, release)
            )
    except PortalError as error:
        return Finding(server.name, None, str(error))
    sentence = " ".join(filter(None, [result.sentence, server.stopped_words]))
    return Finding(server.name, result.status == "succeeded", sentence, result.facts)


def _compare(actor: Actor, server: Server) -> Finding:
    target = rollback_target(server.environment)
    wanted = [release for release in (server.current_release, target) if release is not None]
    nonce = secrets.token_hex(16)
    try:
        with open_session(server) as session:
            facts = AgentClient(session, wanted[0].name).inspect(
                roles=roles_on(server, wanted[0]), hash_releases=[release.identifier for release in wanted], nonce=nonce
            )
            looked = check_inventory(session, wanted[0].name)
    except PortalError as error:
        return Finding(server.name, None, str(error))
    proofs = facts.pop("secret_proofs", {})
    faults = secret_faults(server, proofs, nonce)
    differences = [*drift_of(server, facts), *faults.values(), *provisioning_drift(server, looked)]
    readiness = readiness_of(server, facts, target)
    missed = not_looked_at(server, facts, looked, well=not differences)
    room = {name: value for name, value in facts.get("disk", {}).items() if name in ("free", "total")}
    extent = Extent(looked.things, missed, differing_files(server, facts), room)
    if not store_findings(actor, server, differences, readiness, extent):
        return Finding(server.name, None, "A deployment or another address or host key came in between; ask again.")
    sentence = " ".join([*differences, as_far_as_looked(server, facts, looked, well=not differences)])
    return Finding(server.name, not differences, sentence, {"readiness": readiness, **facts})


def store_findings(
    actor: Actor, server: Server, differences: list[str], readiness: dict[str, Any], extent: Extent
) -> bool:
    """Write it down; False when it describes a server of the past: deployed to meanwhile, or another machine."""
    with transaction.atomic():
        before = Server.objects.select_for_update().get(pk=server.pk)
        busy = Deployment.objects.active().filter(environment=server.environment).exists()
        if busy or before.current_release_id != server.current_release_id or before.machine != server.machine:
            return False
        if before.drift.get("differences", []) != differences:
            _tell_of_drift(actor, server, differences)
        Server.objects.filter(pk=server.pk).update(
            drift={
                "differences": differences,
                "things": extent.things or before.drift.get("things", 0),
                "missed": extent.missed,
                "files": extent.files,
                "disk": extent.disk,
                "accepted": before.accepted(differences),
            },
            readiness=readiness,
            inspected_at=timezone.now(),
        )
    return True


def _tell_of_drift(actor: Actor, server: Server, differences: list[str]) -> None:
    trail.record(
        actor=actor,
        name="server.drifted" if differences else "server.as_recorded",
        subject=f"server:{server.name}",
        environment=server.environment,
        data={"differences": differences},
    )
    notify_environment(
        server.environment,
        "drift",
        what=f"{server.name} {'differs from its record' if differences else 'is as recorded again'}",
        lines=[*differences, _NOTHING_REPAIRED if differences else ""],
    )


def readiness_of(server: Server, facts: dict[str, Any], target: Release | None) -> dict[str, Any]:
    """Whether a rollback to `target` would find what it needs: `ready`, the sentence that says so, seconds it takes."""
    if target is None:
        return {"ready": False, "target": None, "sentence": "There is no earlier release to go back to."}
    wrong: Sequence[Any] = facts["hash"].get(target.identifier, [["", "missing"]])
    if wrong and wrong[0][1] == "missing":
        sentence = f"{target} is not on the server; a rollback would ship it again."
    elif wrong:
        sentence = f"{counted(wrong)} of {target} are damaged; a rollback would ship them again."
    else:
        sentence = f"{target} is on the server, complete and kept from pruning."
    seconds = selectors.expected_seconds(server.environment, Kind.ROLLBACK)
    if seconds is not None:
        sentence += f" Back in about {max(1, round(seconds))} s."
    return {"ready": not wrong, "target": target.identifier, "sentence": sentence, "seconds": seconds}
