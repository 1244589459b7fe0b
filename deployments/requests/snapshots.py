"""Taking the snapshot of a request: everything its execution will use, read once and sealed."""

import json
from typing import Any

from deployments.lifecycle import Kind
from deployments.models import Deployment, Environment, Release, Secret, Server
from deployments.releases import artifacts
from deployments.requests.snapshot import Snapshot
from engine.artifacts.deploy_toml import DeployToml
from engine.errors import InvalidRequest
from engine.remote.plan import config_digest

FORMAT = 1
STEPS = ("preflight", "stage", "dependencies", "backup", "activate", "restart", "verify")


def take_snapshot(*, environment: Environment, release: Release, success: Deployment | None = None) -> Snapshot:
    """What a deployment of `release` to `environment` would use now.

    With `success`, a rollback to it: configuration, units and policy as they were sealed with it. Current are the
    facts that say where and how a server is reached and what runs there, and secrets alone are the newest. Raises
    InvalidRequest when there is nothing to deploy to, or the release does not fit.
    """
    _refuse_other_application(environment, release)
    with artifacts.open_release(release) as reader:
        deploy = reader.deploy
        files = _sealed_files(success) if success else artifacts.rendered_configuration(reader, environment)
    servers = _servers(environment, deploy)
    _refuse_second_account(servers, deploy, files)
    versions = _newest_versions(environment)
    units = {target["server"]: target["unit_files"] for target in success.snapshot["targets"]} if success else {}
    snapshot = {
        "format": FORMAT,
        "kind": str(Kind.ROLLBACK if success else Kind.DEPLOYMENT),
        "environment": environment.name,
        "application": release.name,
        "release": {
            "identifier": release.identifier,
            "version": release.version,
            "manifest_digest": release.manifest_digest,
            "artifact_digest": release.artifact_digest,
        },
        "configuration": {
            "digest": config_digest(files),
            "files": {name: content.decode() for name, content in files.items()},
        },
        "targets": [_target(server, deploy, versions, units.get(server.name)) for server in servers],
        "plan": {
            "steps": list(STEPS),
            "deadlines": deploy.deadlines.model_dump(),
            "keep": deploy.keep,
        },
        "policy": success.snapshot["policy"] | {"approvals_required": 0} if success else _policy(environment),
    }
    return snapshot | {"consent": {"deployment": success.pk, "seal": success.seal}} if success else snapshot


def _refuse_other_application(environment: Environment, release: Release) -> None:
    if environment.application and environment.application != release.name:
        raise InvalidRequest(
            f"{environment} runs {environment.application}; {release} is a release of {release.name}.",
            hint="One environment holds one application: make another environment for this one.",
        )


def _policy(environment: Environment) -> dict[str, Any]:
    return {
        # where nobody asks for them there is no such word: what waits keeps its seal
        **({"signed_approvals": True} if environment.signed_approvals else {}),
        "approvals_required": environment.approvals_required,
        "on_failure": "revert every server",
        "bake_seconds": environment.bake_seconds,
        "bake_action": environment.bake_action,
    }


def _sealed_files(success: Deployment) -> dict[str, bytes]:
    return {name: text.encode() for name, text in success.snapshot["configuration"]["files"].items()}


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
    # stable, and the portal last: while it restarts it cannot go on with others (execution.self_deploy)
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


def _target(server: Server, deploy: DeployToml, newest: dict[str, int], units: dict[str, str] | None) -> dict[str, Any]:
    base = server.current_release
    return {
        "server": server.name,
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "host_key": server.host_key,
        "roles": [role for role in server.roles if role in deploy.roles],
        "unit_files": server.unit_files if units is None else units,
        "secrets": _secrets(server, deploy, newest),
        "base": {"release": base.identifier, "manifest_digest": base.manifest_digest} if base else None,
    }
