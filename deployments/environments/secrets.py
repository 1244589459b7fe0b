"""Secrets of an environment: versioned, encrypted, delivered over SSH, never shown."""

from django.core.exceptions import ValidationError
from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.masking import Mask
from deployments.core.row_locks import locked_environment
from deployments.core.sessions import open_session
from deployments.models import Environment, Secret, Server
from engine.errors import InvalidRequest, PortalError, TargetError
from engine.remote import AgentClient

MAX_BYTES = 64 * 1024
PORTAL_TOKEN, MONITORING_TOKEN = "portal-token", "monitoring-token"
MADE = {"bot": PORTAL_TOKEN, "monitoring": MONITORING_TOKEN}
"""By role what its servers report with: provisioning makes one for each server, so nobody sets it and none lacks."""


def set_secret(*, actor: Actor, environment: Environment, name: str, value: str) -> tuple[Secret, list[str]]:
    """Store a new version and deliver it to every provisioned server; returns it with the servers that have it now.

    Raises InvalidRequest for a name or a value that cannot be one, TargetError when a server could not be reached
    (the version is stored all the same and `provision` delivers it).
    """
    require(actor, Verb.SET_SECRET, environment)
    check_name(name)
    _refuse_made(environment, name)
    check_value(value)
    if Mask([(name, value)]).found_in(environment.configuration):
        raise InvalidRequest(
            f"The configuration of {environment} holds this value, and is shown to whoever looks at a deployment.",
            hint="Take it out of the configuration, or choose another value.",
            reason="secret_in_configuration",
        )
    with transaction.atomic():
        locked_environment(environment.pk)  # versions are counted one after the other
        newest = Secret.objects.filter(environment=environment, name=name).order_by("-version").first()
        if newest is not None and newest.value == value:
            secret = newest
        else:
            secret = Secret(
                environment=environment,
                name=name,
                version=newest.version + 1 if newest else 1,
                value=value,
                created_by=str(actor),
            )
            secret.full_clean(exclude=["value"])
            secret.save()
            trail.record(
                actor=actor,
                name="secret.set",
                subject=f"secret:{environment}/{name}",
                environment=environment,
                data={"version": secret.version},
            )
    return secret, deliver(actor=actor, secret=secret)


def _refuse_made(environment: Environment, name: str) -> None:
    roles = {role for server in environment.servers.exclude(state=Server.State.RETIRED) for role in server.roles}
    if name in {made for role, made in MADE.items() if role in roles}:
        raise InvalidRequest(
            f"{name} is made for each server by its provisioning: it is a token of the portal's, and nobody sets it.",
            hint="Where a server's does not work any more: `./manage.py provision SERVER` brings another.",
            reason="secret_made_by_provision",
        )


def check_name(name: str) -> None:
    """Raise InvalidRequest for what is no name of a secret; it may be a value, so it is not repeated."""
    try:
        Secret._meta.get_field("name").clean(name, None)
    except ValidationError as error:
        raise InvalidRequest(
            "The name of a secret is lower-case letters, digits and hyphens, a letter first, 63 at most.",
            hint="Nothing was stored.",
            reason="bad_secret_name",
        ) from error


def check_value(value: str) -> None:
    """Raise InvalidRequest for what cannot be kept or delivered."""
    if not value or "\x00" in value or len(value.encode()) > MAX_BYTES:
        raise InvalidRequest(
            "A secret must have 1 byte to 64 KiB and no NUL.", hint="Nothing was stored.", reason="bad_secret"
        )


def deliver(*, actor: Actor, secret: Secret) -> list[str]:
    """Deliver one version to every provisioned server of its environment."""
    reached, failures = [], []
    servers = Server.objects.filter(environment=secret.environment, state=Server.State.PROVISIONED)
    for server in servers.select_related("environment"):
        if server.secret_versions.get(secret.name) == secret.version:
            reached.append(server.name)
            continue
        try:
            deliver_to(actor=actor, server=server, secrets=[(secret.name, secret.version, str(secret.value))])
            reached.append(server.name)
        except PortalError as error:
            failures.append(f"{server.name}: {error}")
    if failures:
        raise TargetError(
            f"{secret.name} version {secret.version} is stored but did not reach {'; '.join(failures)}",
            hint="Set the same value again, or provision that server, when it answers.",
            reason="secret_not_delivered",
        )
    return reached


def deliver_to(*, actor: Actor, server: Server, secrets: list[tuple[str, int, str]]) -> None:
    """Write secrets (name, version, value) on one server and note the versions it has."""
    application = server.environment.application
    if not secrets:
        return
    with open_session(server) as session:
        client = AgentClient(session, application)
        for name, version, value in secrets:
            result = client.secret(name, version, value.encode())
            if result.status != "succeeded":
                raise TargetError(result.sentence, reason=result.reason)
    versions = {name: version for name, version, _ in secrets}
    with transaction.atomic():
        locked = Server.objects.select_for_update().get(pk=server.pk)
        locked.secret_versions = {**locked.secret_versions, **versions}
        locked.save(update_fields=["secret_versions"])
        trail.record(
            actor=actor,
            name="secret.delivered",
            subject=f"server:{server.name}",
            environment=server.environment,
            data=versions,
        )


def newest_secrets(environment: Environment) -> list[Secret]:
    """The newest version of every secret of an environment."""
    newest: dict[str, Secret] = {}
    for secret in Secret.objects.filter(environment=environment).order_by("version"):
        newest[secret.name] = secret
    return list(newest.values())
