"""Taking over what a server says about itself, after somebody deployed to it without this portal.

That happens when a deployment came straight from a GitHub runner, whose database lives for one job, or when this portal
was restored from a backup. The server knows what it runs, the highest fence it has seen, and its journal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.sessions import open_session
from deployments.environments.applications import bind, refuse_other_application
from deployments.environments.guards import refuse_busy
from deployments.models import Deployment, Environment, Release, Server
from deployments.servers.enrolment import refuse_decommissioned
from deployments.servers.history_import import import_runs
from engine.artifacts.manifest import Manifest
from engine.errors import EnvironmentBusy, InvalidRequest, TargetError
from engine.remote import AgentClient
from engine.remote.history import PastRun, read_history, read_manifest

FENCE_AHEAD = 1_000_000
"""More than any server is ahead of its record: a portal restored from a backup raises its own by 10 000."""


@dataclass(frozen=True)
class Adopted:
    """What was taken over: the release that runs (None: none), the fence, and deployments that were not known."""

    release: Release | None
    fence: int
    deployments: list[Deployment]


def adopt_server(*, actor: Actor, server: Server, application: str = "", history: bool = True) -> Adopted:
    """Make the record of `server` say what the server says, and import the deployments its journal has (`history`).

    `application` names the tree when the environment does not yet. Nothing changes on the server. Raises
    EnvironmentBusy while a deployment goes on, NotProvisioned, SSHError, TargetError for a fence that cannot be.
    """
    environment = server.environment
    require(actor, Verb.ENROL, environment)
    refuse_decommissioned(server)
    name = environment.application or application
    if not name:
        raise InvalidRequest(
            f"{environment} has no application yet.", hint="Build a release and provision the server first."
        )
    refuse_other_application(environment, name)
    refuse_busy(environment)
    facts, manifest, runs = _ask(server, name, history)
    with transaction.atomic():
        locked = Environment.objects.select_for_update().get(pk=environment.pk)
        refuse_implausible_fence(server, locked, [facts["fence"], *(run.fence for run in runs)])
        release = _release(name, facts["current"], manifest, runs) if manifest is not None else None
        imported = import_runs(actor=actor, server=server, runs=runs, remember=lambda run: _named(name, run))
        _record(actor, server, locked, name, facts, release)
    server.refresh_from_db()
    environment.refresh_from_db()
    return Adopted(release, environment.fence, imported)


def _ask(server: Server, name: str, history: bool) -> tuple[dict[str, Any], Manifest | None, list[PastRun]]:
    with open_session(server) as session:
        facts = AgentClient(session, name).inspect()
        run, lock = facts["run"], facts["lock"]
        if lock["held"]:
            doing = f"deployment {run['deployment']}" if run else "something"
            raise EnvironmentBusy(
                f"{server.name} is busy with {doing} right now, which this portal did not ask for.",
                hint="Wait until it has ended.",
                reason="host_locked",
            )
        manifest = read_manifest(session, name, facts["current"]) if facts["current"] else None
        return facts, manifest, read_history(session, name) if history or run else []


def refuse_implausible_fence(server: Server, environment: Environment, fences: Iterable[object]) -> None:
    """Raise TargetError for a fence that no deployment can have had; with it none could have a higher one."""
    for fence in fences:
        if type(fence) is not int or not 0 <= fence <= environment.fence + FENCE_AHEAD:
            raise TargetError(
                f"{server.name} says that it has seen the fence {str(fence)[:40]}, and {environment} is at "
                f"{environment.fence}: no deployment can have had that. Nothing was taken over.",
                hint="Look on the server who wrote that. If nobody is known to have, trust it no more: decommission it "
                "and enrol one that was installed anew.",
                reason="implausible_fence",
            )


def _record(
    actor: Actor, server: Server, environment: Environment, name: str, facts: dict[str, Any], release: Release | None
) -> None:
    before = {"release": str(server.current_release or ""), "fence": environment.fence}
    environment.fence = max(environment.fence, facts["fence"])
    environment.save(update_fields=["fence"])
    bind(environment, name)
    if server.current_release != release:
        server.previous_release = server.current_release
    server.current_release = release
    server.config_digest = facts["config"] or ""
    server.secret_versions = facts["secrets"]
    server.unit_files = server.unit_files | {unit["unit"]: unit["sha256"] for unit in facts["units"] if unit["sha256"]}
    server.state = Server.State.PROVISIONED
    server.inspected_at = timezone.now()
    server.save()
    trail.record(
        actor=actor,
        name="server.adopted",
        subject=f"server:{server.name}",
        environment=environment,
        data={"before": before, "after": {"release": str(release or ""), "fence": environment.fence}},
    )


def _release(name: str, identifier: str, manifest: Manifest, runs: list[PastRun]) -> Release:
    """The record of the release that runs, made from the manifest that the server keeps if there is none."""
    release = _named(name, _latest(identifier, runs), identifier)
    if not (release.artifact or release.artifact_digest):
        release.artifact.save(f"{name}-{identifier}.manifest.json", ContentFile(manifest.to_json()), save=False)
        release.manifest_digest = manifest.digest
        release.files, release.size = len(manifest), manifest.size
        release.save()
    return release


def _latest(identifier: str, runs: list[PastRun]) -> PastRun | None:
    return next((run for run in reversed(runs) if run.plan.get("release") == identifier), None)


def _named(name: str, run: PastRun | None, identifier: str = "") -> Release:
    """The record of the release of a run; without one, `identifier` says what is known."""
    identifier = str(run.plan["release"]) if run else identifier
    found = Release.objects.filter(name=name, identifier=identifier).first()
    if found is not None:
        return found
    version = str(run.plan["version"]) if run else identifier.rpartition("-")[0]
    if Release.objects.filter(name=name, version=version).exists():
        version = identifier  # this portal knows another content by that version
    return Release.objects.create(
        identifier=identifier, name=name, version=version[:50], size=0, files=0, builder="known from its server"
    )
