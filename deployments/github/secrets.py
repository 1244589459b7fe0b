"""What a workflow needs to reach an environment's server, as GitHub secrets."""

from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.github.runner import secret_names
from deployments.models import Environment, Server
from deployments.models.encryption import SecretText
from deployments.notifications.messages import notify_environment
from engine.errors import InvalidRequest


def github_secret(*, actor: Actor, environment: Environment, name: str) -> SecretText:
    """The value of one of the four secrets of an environment: host, user, pinned host key or private key.

    Handing out the private key is an audit event. Raises NotAllowed, InvalidRequest for another name, and unless the
    environment has one server.
    """
    require(actor, Verb.ROTATE_KEYS, environment)
    names = secret_names(environment.name)
    server = _only_server(environment)
    if server.jump:
        raise InvalidRequest(
            f"{server.name} is reached through {server.jump}, and a runner goes straight to a server.",
            hint="Have the workflow ask this portal instead: mode 1 of docs/github.md.",
            reason="behind_jump_host",
        )
    if name == names["key"]:
        return _private_key(actor, environment, name)
    host = f"[{server.host}]" if ":" in server.host else server.host
    values = {
        names["host"]: host if server.port == 22 else f"{host}:{server.port}",
        names["user"]: server.user,
        names["host_key"]: server.host_key,
    }
    if name not in values:
        raise InvalidRequest(f"{name!r} is none of the secrets: {', '.join(names.values())}.")
    return SecretText(values[name])


def _private_key(actor: Actor, environment: Environment, name: str) -> SecretText:
    if not environment.private_key:
        raise InvalidRequest(f"{environment} has no SSH key yet.", hint="`manage.py enroll` makes one.")
    with transaction.atomic():
        trail.record(
            actor=actor,
            name="key.handed_out",
            subject=f"environment:{environment}",
            environment=environment,
            data={"secret": name, "public_key": environment.public_key},
        )
        if environment.protected:
            lines = ["Who has it reaches the servers past approvals. `rotate_keys` replaces it."]
            notify_environment(environment, "policy", what=f"its private key was handed out by {actor}", lines=lines)
    return SecretText(environment.private_key)


def _only_server(environment: Environment) -> Server:
    servers = list(environment.servers.exclude(state=Server.State.RETIRED)[:2])
    if len(servers) != 1:
        raise InvalidRequest(
            f"A workflow deploys to one server of an environment; {environment} has "
            f"{'several' if servers else 'none'}.",
            hint="For several servers let the workflow go through the portal (docs/github.md)."
            if servers
            else f"Run `manage.py enroll NAME --environment {environment} --host …`.",
        )
    return servers[0]
