"""Trying credentials before they are kept: the bot signs in on the test server and leaves, never beside a live bot."""

import json
from typing import Any

from deployments.commands.trials import PATIENCE_SECONDS, trial_command
from deployments.errors import InvalidRequest, TargetError
from deployments.models import Environment, Secret, Server
from deployments.services import artifacts, audit
from deployments.services.access import Actor, require
from deployments.services.connections import open_session
from deployments.services.secrets import newest_secrets, set_secret

TRIED_ON = "test"
"""The environment on whose server credentials are tried, whichever environment they are for."""


def set_tried_secret(*, actor: Actor, environment: Environment, name: str, value: str) -> tuple[Secret, list[str]]:
    """As `set_secret`, but only a value that signs in is kept.

    A server of the environment test runs the `login` command of its release with `environment`'s configuration and
    secrets. Raises TargetError, with what the command said, when it says no: nothing is stored then; and InvalidRequest
    when there is no such server or command.
    """
    require(actor, "set_secret", environment)
    server, request = _trial(environment, name, value)
    assert server.current_release is not None  # noqa: S101  (_trial selects by it)
    with open_session(server) as session:
        done = session.run(
            trial_command(server.current_release.name),
            stdin=json.dumps(request).encode(),
            deadline=PATIENCE_SECONDS + 15.0,
            check=False,
            what="trying to sign in",
        )
    audit.record_alone(
        actor=actor,
        name="secret.tried",
        subject=f"secret:{environment.name}/{name}",
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


def _trial(environment: Environment, name: str, value: str) -> tuple[Server, dict[str, Any]]:
    servers = Server.objects.filter(
        environment__name=TRIED_ON, state=Server.State.PROVISIONED, current_release__isnull=False
    ).select_related("environment", "current_release")
    secrets = {secret.name: str(secret.value) for secret in newest_secrets(environment)} | {name: value}
    for server in servers:
        assert server.current_release is not None  # noqa: S101  (the query selects by it)
        with artifacts.open_release(server.current_release) as reader:
            for role, described in reader.deploy.roles.items():
                if role not in server.roles or name not in described.secrets or not described.login:
                    continue
                files = artifacts.rendered_configuration(reader, environment)
                return server, {
                    "role": role,
                    "argv": list(described.login),
                    "config": {path: content.decode() for path, content in files.items()},
                    "credentials": {key: secrets[key] for key in described.secrets if key in secrets},
                }
    raise InvalidRequest(
        f"{name} cannot be tried: no server of {TRIED_ON} runs a release whose deploy.toml has a login command for it.",
        hint=f"Deploy to {TRIED_ON} first, or leave --try out.",
        reason="nowhere_to_try",
    )


def _masked(text: str, secrets: dict[str, str]) -> str:
    for value in secrets.values():
        text = text.replace(value, "•••")
    return " ".join(text.split())
