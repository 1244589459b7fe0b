"""Adding servers: the record, and the host key that a person confirmed."""

import re
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from deployments.access.policy import require
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.models import Environment, Server
from engine.artifacts.deploy_toml import ROLES
from engine.errors import Conflict, InvalidRequest
from engine.ssh.keys import HostKey, generate_key
from engine.ssh.transport import fetch_host_key

_FINGERPRINT = re.compile(r"^SHA256:[A-Za-z0-9+/]{43}$")


def enrol_server(
    *,
    actor: Actor,
    name: str,
    environment: Environment,
    host: str,
    port: int,
    user: str,
    roles: Sequence[str],
    fingerprint: str,
    confirm: Callable[[HostKey, str], bool],
) -> Server:
    """Record a server and pin its host key.

    The key is read from the server and compared with `fingerprint`; without one, `confirm` shows it to a person, beside
    the fingerprint that is pinned now ("" for a new server). An existing server gets the new address and key the same
    way, and what was sealed with the old ones is void. Raises NotAllowed, InvalidRequest, Conflict, HostUnreachable.
    """
    require(actor, "enrol", environment)
    _check(fingerprint, roles)
    draft = _draft(name, environment, host, port, user, roles)
    key = _confirmed_key(draft, host, port, fingerprint, confirm)
    before = _described(draft) if draft.pk and draft.state != Server.State.RETIRED else {}
    if not before:
        draft.state, draft.facts = Server.State.ENROLLED, {}
    draft.host, draft.port, draft.user, draft.roles = host, port, user, list(roles)
    draft.host_key, draft.fingerprint = str(key), key.fingerprint
    with transaction.atomic():
        ensure_key(actor=actor, environment=environment)
        draft.save()
        trail.record(
            actor=actor,
            name=_event(before, key),
            subject=f"server:{name}",
            environment=environment,
            data={**_described(draft), "before": before},
        )
    return draft


def _check(fingerprint: str, roles: Sequence[str]) -> None:
    if fingerprint and not _FINGERPRINT.match(fingerprint):
        raise InvalidRequest(
            f"{fingerprint!r} is no SHA256 fingerprint.",
            hint="On the server: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        )
    if unknown := sorted(set(roles) - set(ROLES)):
        raise InvalidRequest(f"Unknown role: {', '.join(unknown)}.", hint=f"Choose from {', '.join(ROLES)}.")


def _confirmed_key(
    draft: Server, host: str, port: int, fingerprint: str, confirm: Callable[[HostKey, str], bool]
) -> HostKey:
    """The key that the server shows, once it is the one that was named, or that a person has looked at."""
    key = fetch_host_key(host, port)
    if fingerprint and key.fingerprint != fingerprint:
        raise Conflict(
            f"{host}:{port} showed the host key {key.fingerprint}, not {fingerprint}; nothing was recorded"
            + (f", {draft.fingerprint} stays pinned." if draft.pk else "."),
            hint="Compare it on the server's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
            reason="host_key_mismatch",
        )
    if not fingerprint and not confirm(key, draft.fingerprint):
        raise InvalidRequest("The host key was not confirmed; nothing was recorded.", reason="not_confirmed")
    return key


def _event(before: dict[str, Any], key: HostKey) -> str:
    if not before:
        return "server.enrolled"
    return "server.changed" if before["fingerprint"] == key.fingerprint else "server.host_key_confirmed"


def _described(server: Server) -> dict[str, Any]:
    """What enrolling decides, for the audit trail."""
    return {name: getattr(server, name) for name in ("host", "port", "user", "roles", "fingerprint")}


def refuse_decommissioned(server: Server) -> None:
    """Raise InvalidRequest for a server that was taken out of service."""
    if server.state == Server.State.RETIRED:
        raise InvalidRequest(
            f"{server.name} is decommissioned.",
            hint=f"Enrol it again first: `manage.py enroll {server.name} --environment {server.environment} --host …`.",
            reason="decommissioned",
        )


def ensure_key(*, actor: Actor, environment: Environment) -> None:
    """Make the environment's ed25519 key pair once; the private half is encrypted at rest."""
    locked = Environment.objects.select_for_update().get(pk=environment.pk)
    if not locked.private_key:
        private, public = generate_key(f"portal-{environment.name}")
        locked.private_key, locked.public_key = private, public
        locked.save(update_fields=["private_key", "public_key"])
        trail.record(
            actor=actor,
            name="key.made",
            subject=f"environment:{environment.name}",
            environment=environment,
            data={"public_key": public},
        )
    environment.refresh_from_db()


def _draft(name: str, environment: Environment, host: str, port: int, user: str, roles: Sequence[str]) -> Server:
    if not roles:
        raise InvalidRequest("A server needs at least one role.", hint=f"Choose from {', '.join(ROLES)}.")
    existing = Server.objects.filter(name=name).first()
    if existing is not None and existing.environment_id != environment.pk:
        raise Conflict(
            f"{name} is a server of {existing.environment}.", hint="Choose another name.", reason="name_taken"
        )
    server = existing or Server(name=name, environment=environment, order=environment.servers.count())
    probe = copy(server)  # which knows that it is there already
    probe.host, probe.port, probe.user, probe.roles = host, port, user, list(roles)
    probe.state = Server.State.ENROLLED
    try:
        probe.clean_fields(exclude=["host_key", "fingerprint"])
        probe.validate_constraints()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Nothing was recorded.") from error
    return server
