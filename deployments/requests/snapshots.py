"""The inputs of a request: everything its execution will use, read once into the snapshot that is sealed."""

import json
from collections.abc import Mapping
from typing import Any

from deployments.environments.applications import refuse_other_application
from deployments.environments.machines import refuse_clash
from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment, Release, Secret, Server
from deployments.releases import artifacts
from deployments.releases.compatibility import refuse_by_todays_rules, refuse_unfit
from deployments.releases.origin import From, refuse_origin
from deployments.snapshot import (
    BATCH,
    FORMAT,
    MAX_FAILURES,
    Consent,
    SealedBase,
    SealedConfiguration,
    SealedHook,
    SealedPlan,
    SealedPolicy,
    SealedRelease,
    SealedTarget,
    Snapshot,
)
from engine.artifacts.deploy_toml import DeployToml
from engine.artifacts.hooks import Hook
from engine.errors import InvalidRequest
from engine.host.agent.limits import MOMENTS, PLAN_STEPS
from engine.remote.plan import config_digest


def take_snapshot(*, environment: Environment, release: Release, success: Deployment | None = None) -> Snapshot:
    """What a deployment of `release` to `environment` would use now.

    With `success`, a rollback to it: configuration, units and policy as they were sealed with it. Current are the
    facts that say where and how a server is reached and what runs there, and secrets alone are the newest. Raises
    InvalidRequest when there is nothing to deploy to, or the release does not fit, or today's rules refuse it.
    """
    refuse_other_application(environment, release.name)
    if success is None:
        refuse_origin(environment, release)
    back = success.sealed if success else None
    with artifacts.open_release(release) as reader:
        deploy = reader.deploy
        if back is None:  # what ran already is gone back to as it was
            refuse_by_todays_rules(release, reader)
        files = back.configuration.contents if back else artifacts.rendered_configuration(reader, environment)
    servers = _servers(environment, deploy)
    refuse_clash(servers, deploy)
    refuse_unfit(reader, servers)
    _refuse_second_account(servers, deploy, files)
    versions = _newest_versions(environment)
    units = {target.server: target.unit_files for target in back.targets} if back else {}
    snapshot = Snapshot(
        format=FORMAT,
        kind=Kind.ROLLBACK if back else Kind.DEPLOYMENT,
        environment=environment.name,
        application=release.name,
        release=sealed_release(release),
        configuration=SealedConfiguration(
            digest=config_digest(files), files={name: content.decode() for name, content in files.items()}
        ),
        targets=tuple(_target(server, deploy, versions, units.get(server.name)) for server in servers),
        plan=_plan(deploy, rollback=back is not None),
        policy=back.policy.model_copy(update={"approvals_required": 0}) if back else _policy(environment),
    )
    if success is None:
        return snapshot
    return snapshot.model_copy(update={"consent": Consent(deployment=success.pk, seal=success.seal)})


def sealed_release(release: Release) -> SealedRelease:
    """A release as a snapshot names it."""
    return SealedRelease(
        identifier=release.identifier,
        version=release.version,
        manifest_digest=release.manifest_digest,
        artifact_digest=release.artifact_digest,
    )


def _plan(deploy: DeployToml, *, rollback: bool) -> SealedPlan:
    """A rollback runs no hook: those of the release that it goes back to have run, and migrate to what is left."""
    hooks = () if rollback else tuple(_hook(*each) for each in deploy.hooks_in_order())
    moments = {hook.moment for hook in hooks}
    # where there are none there is no such word: what waits keeps its seal
    return SealedPlan(
        steps=tuple(step for step in PLAN_STEPS if step not in MOMENTS or step in moments),
        deadlines=deploy.deadlines.model_dump(),
        keep=deploy.keep,
        **({"hooks": hooks} if hooks else {}),
    )


def _hook(moment: str, role: str, hook: Hook) -> SealedHook:
    return SealedHook(
        moment=moment,
        role=role,
        command=hook.command,
        back=getattr(hook, "back", ()),
        deadline=hook.deadline,
        account=hook.account,
    )


def _policy(environment: Environment) -> SealedPolicy:
    # where nobody asks for them there is no such word: what waits keeps its seal
    asked: dict[str, Any] = {"signed_approvals": True} if environment.signed_approvals else {}
    asked |= {} if environment.batch == BATCH else {"batch": environment.batch}
    asked |= {} if environment.max_failures == MAX_FAILURES else {"max_failures": environment.max_failures}
    asked |= {} if environment.releases_from == From.VERSIONS else {"releases_from": str(environment.releases_from)}
    return SealedPolicy(
        approvals_required=environment.approvals_required,
        on_failure="revert every server",
        bake_seconds=environment.bake_seconds,
        bake_action=environment.bake_action,
        **asked,
    )


def identity_of(deploy: DeployToml, role: str, files: dict[str, bytes]) -> list[str] | None:
    """The values that make an account unique (domain, channel, user), lower-cased; None when the role declares none."""
    described = dict(deploy.roles.items()).get(role)  # type: ignore[call-overload]  # role comes from a record
    if described is None or not described.identity or described.identity_file not in files:
        return None
    document = json.loads(files[described.identity_file])
    return [str(_dotted(document, key)).lower() for key in described.identity]


def _dotted(document: Any, key: str) -> Any:
    for part in key.split("."):
        document = document.get(part, "") if isinstance(document, dict) else ""
    return document


def _servers(environment: Environment, deploy: DeployToml) -> list[Server]:
    servers = [
        server
        for server in environment.servers.exclude(state=Server.State.RETIRED).select_related("current_release")
        if set(server.roles) & set(deploy.roles)
    ]
    if not servers:
        raise InvalidRequest(
            f"{environment} has no server with a role of {deploy.name} ({', '.join(deploy.roles)}).",
            hint=f"Run `manage.py enroll NAME --environment {environment} --host …`.",
            reason="no_server",
        )
    if bare := [server.name for server in servers if server.state != Server.State.PROVISIONED]:
        raise InvalidRequest(
            f"Not provisioned yet: {', '.join(bare)}.",
            hint=f"Run `manage.py provision {bare[0]}`.",
            reason="not_provisioned",
        )
    # stable, and the portal last: while it restarts it cannot go on with others (`restarts_us` in execution.run)
    return sorted(servers, key=lambda server: "portal" in server.roles)


def _refuse_second_account(servers: list[Server], deploy: DeployToml, files: dict[str, bytes]) -> None:
    identity = identity_of(deploy, "bot", files)
    if identity is None:
        return
    ours = [server for server in servers if "bot" in server.roles]
    taken = [
        server
        for server in Server.objects.exclude(state=Server.State.RETIRED)
        if server.facts.get("identity") == identity and server.pk not in {mine.pk for mine in ours}
    ]
    if len(ours) + len(taken) > 1:
        names = ", ".join(server.name for server in [*ours, *taken])
        raise InvalidRequest(
            f"One CyTube account is one bot, but {names} would all sign in as {' / '.join(identity)}.",
            hint="A second login kicks the first: give each server its own channel or user, or retire one.",
            reason="duplicate_account",
        )


def _newest_versions(environment: Environment) -> dict[str, int]:
    newest: dict[str, int] = {}
    for secret in Secret.objects.filter(environment=environment).order_by("version"):
        newest[secret.name] = secret.version
    return newest


def _secrets(server: Server, deploy: DeployToml, newest: dict[str, int]) -> dict[str, int]:
    """Versions of the secrets this server's roles need: the environment's newest, else what is the server's own."""
    wanted = sorted(
        {name for role, described in deploy.roles.items() if role in server.roles for name in described.secrets}
    )
    versions = {**server.secret_versions, **newest}
    if absent := [name for name in wanted if name not in versions]:
        raise InvalidRequest(
            f"{server.environment} has no secret {', '.join(absent)}, which {server.name} needs.",
            hint=f"Run `manage.py set_secret {server.environment} {absent[0]}` (the value comes on standard input).",
            reason="secret_missing",
        )
    return {name: versions[name] for name in wanted}


def _target(
    server: Server, deploy: DeployToml, newest: dict[str, int], units: Mapping[str, str] | None
) -> SealedTarget:
    base = server.current_release
    # where nothing is jumped over there are no such words: what waits keeps its seal
    way = {"jump": server.jump, "jump_host_key": server.jump_host_key} if server.jump else {}
    return SealedTarget(
        server=server.name,
        host=server.host,
        port=server.port,
        user=server.user,
        host_key=server.host_key,
        roles=tuple(role for role in server.roles if role in deploy.roles),
        unit_files=server.unit_files if units is None else units,
        secrets=_secrets(server, deploy, newest),
        base=SealedBase(release=base.identifier, manifest_digest=base.manifest_digest) if base else None,
        **way,
    )
