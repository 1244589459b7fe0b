"""Trying credentials before they are kept: what an environment runs already signs in with them, and leaves."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.sessions import open_session
from deployments.environments.secrets import newest_secrets, set_secret
from deployments.models import Environment, Release, Secret, Server
from deployments.releases import artifacts
from deployments.requests.rollback_targets import success_of
from engine.artifacts.deploy_toml import Role
from engine.commands.credential_check import TIMEOUT_SECONDS, trial_command
from engine.errors import InvalidRequest, PortalError, TargetError


def set_tried_secret(*, actor: Actor, environment: Environment, name: str, value: str) -> tuple[Secret, list[str]]:
    """As `set_secret`, but only a value that signs in is kept.

    A server of `environment` itself runs the `login` command of the release that is live there, with the configuration
    that was sealed with it: what was consented to for this environment sees its secrets, and nothing else. Raises
    TargetError, with what the command said, when it says no: nothing is stored then; and InvalidRequest when there is
    no such server or command.
    """
    require(actor, Verb.SET_SECRET, environment)
    server, release, request = _trial(environment, name, value)
    with open_session(server) as session:
        done = session.run(
            trial_command(release.name, release.identifier),
            stdin=json.dumps(request).encode(),
            deadline=TIMEOUT_SECONDS + 15.0,
            check=False,
            what="trying to sign in",
        )
    trail.record_alone(
        actor=actor,
        name="secret.tried",
        subject=f"secret:{environment}/{name}",
        environment=environment,
        server=server.name,
        passed=done.exit == 0,
    )
    if done.exit != 0:
        said = _masked(done.stdout.decode(errors="replace"), request["credentials"])
        raise TargetError(
            f"{name} was tried on {server.name} and does not sign in; nothing was stored. It said: {said or done.exit}",
            hint="Nothing on any server has changed.",
            reason="login_refused",
        )
    return set_secret(actor=actor, environment=environment, name=name, value=value)


def names_to_try(environment: Environment) -> list[str]:
    """The secrets that a login command of what is live there signs in with; none where nothing can be tried."""
    try:
        return sorted({name for login in _logins(environment) for name in login.role.secrets})
    except PortalError:
        return []


@dataclass(frozen=True)
class _Login:
    """A role of a server that has a login command, in the release that was consented to there."""

    server: Server
    release: Release
    name: str
    role: Role
    config: dict[str, str]


def _logins(environment: Environment) -> Iterator[_Login]:
    there = environment.servers.filter(state=Server.State.PROVISIONED).exclude(current_release=None)
    for server in there.select_related("current_release"):
        release = server.current_release
        assert release is not None  # noqa: S101  (the query selects by it)
        config = dict(success_of(environment, release).sealed.configuration.files)
        with artifacts.open_release(release) as reader:
            roles = reader.deploy.roles
        for name, role in roles.items():
            if name in server.roles and role.login:
                yield _Login(server, release, name, role, config)


def _trial(environment: Environment, name: str, value: str) -> tuple[Server, Release, dict[str, Any]]:
    secrets = {secret.name: str(secret.value) for secret in newest_secrets(environment)} | {name: value}
    for login in _logins(environment):
        if name in login.role.secrets:
            request = {
                "role": login.name,
                "argv": list(login.role.login),
                "config": login.config,
                "credentials": {key: secrets[key] for key in login.role.secrets if key in secrets},
            }
            return login.server, login.release, request
    raise InvalidRequest(
        f"{name} cannot be tried: no server of {environment} runs a release that has a login command for it.",
        hint=f"Deploy to {environment} first, or store it untried.",
        reason="nowhere_to_try",
    )


def _masked(text: str, secrets: dict[str, str]) -> str:
    for value in secrets.values():
        text = text.replace(value, "•••")
    return " ".join(text.split())
