"""Adding servers: the record, and the host key that a person confirmed."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.sessions import private_key_of
from deployments.environments.guards import refuse_retired
from deployments.environments.machines import at_place, deploying_account, refuse_second_place
from deployments.models import Environment, Server
from engine.artifacts.values import ROLES
from engine.errors import Conflict, InvalidRequest
from engine.ssh.address import Address, JumpHost
from engine.ssh.keys import HostKey, PrivateKey, generate_key
from engine.ssh.transport import fetch_host_key


@dataclass(frozen=True)
class Jump:
    """The host in front of a server, and how its key is confirmed: as the server's own is."""

    host: JumpHost
    fingerprint: str
    confirm: Callable[[HostKey, str], bool]


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
    jump: Jump | None = None,
) -> Server:
    """Record a server and pin its host key.

    The key is read from the server and compared with `fingerprint`; without one, `confirm` shows it beside what is
    pinned now, unless it is confirmed for that address already. An existing server gets address and key the same way,
    which voids what was sealed with the old ones and what was found there; others on that machine get the key with
    it. `user` is by default who deploys there. With `jump` all goes through that host. Raises NotAllowed,
    InvalidRequest, Conflict, SSHError.
    """
    require(actor, Verb.ENROL, environment)
    refuse_retired(environment)
    _check(fingerprint, roles)
    way = str(jump.host) if jump else ""
    user = user or _account(name, environment, host, port, way)
    draft = _draft(name, environment, Server(host=host, port=port, user=user, roles=list(roles), jump=way))
    through = _way_through(actor, draft, jump) if jump else None
    shown = fetch_host_key(host, port, through=through)
    named = fingerprint or _confirmed_before(host, port, way, shown, draft.fingerprint)
    key = _confirmed(shown, f"{host}:{port}", draft.fingerprint, named, confirm)
    before, machine = _described(draft) if draft.pk and draft.state != Server.State.RETIRED else {}, draft.machine
    draft.host, draft.port, draft.user, draft.roles = host, port, user, list(roles)
    draft.host_key, draft.fingerprint = str(key), key.fingerprint
    draft.jump, draft.jump_host_key = way, str(through[0].host_key) if through else ""
    _begin_anew(draft, new=not before, moved=draft.machine != machine)
    refuse_second_place(draft)
    beside = _with_another_key(actor, draft, before)
    _write(actor, draft, beside, before)
    return draft


def _begin_anew(draft: Server, *, new: bool, moved: bool) -> None:
    """What was known of the machine, where the record is of a new one, or of one at another place."""
    if new:
        draft.state = Server.State.ENROLLED
    if new or moved:
        draft.forget_findings()


def _write(actor: Actor, draft: Server, beside: list[Server], before: dict[str, Any]) -> None:
    """The record, and the same key for what is on the machine beside it."""
    environment = draft.environment
    with transaction.atomic():
        ensure_key(actor=actor, environment=environment)
        draft.save()
        for other in beside:
            other.host_key, other.fingerprint = draft.host_key, draft.fingerprint
            other.forget_findings()
            other.save(update_fields=["host_key", "fingerprint", "drift", "readiness", "facts", "inspected_at"])
        trail.record(
            actor=actor,
            name=_event(before, draft),
            subject=f"server:{draft.name}",
            environment=environment,
            data={**_described(draft), "before": before, **({"also": [row.name for row in beside]} if beside else {})},
        )


def _confirmed_before(host: str, port: int, jump: str, shown: HostKey, pinned: str) -> str:
    """The key that a new server shows, where one in service at its address has it confirmed; else empty."""
    known = not pinned and at_place(host, port, jump).filter(fingerprint=shown.fingerprint).exists()
    return shown.fingerprint if known else ""


def _way_through(actor: Actor, draft: Server, jump: Jump) -> tuple[Address, PrivateKey]:
    """The jump host with its confirmed key, and what opens it: the environment's key, which is made here if need be."""
    _check(jump.fingerprint, ())
    shown = fetch_host_key(jump.host.host, jump.host.port)
    pinned = HostKey.parse(draft.jump_host_key).fingerprint if draft.jump == str(jump.host) else ""
    key = _confirmed(shown, f"The jump host {jump.host}", pinned, jump.fingerprint, jump.confirm)
    with transaction.atomic():
        ensure_key(actor=actor, environment=draft.environment)
    return jump.host.proven(key), private_key_of(draft.environment)


def _account(name: str, environment: Environment, host: str, port: int, jump: str) -> str:
    known = Server.objects.filter(name=name).values_list("user", flat=True).first()
    return known or deploying_account(environment, host, port, jump)


def _with_another_key(actor: Actor, draft: Server, before: dict[str, Any]) -> list[Server]:
    """Other applications' servers at this address that are pinned to another host key: a machine has one.

    A new server does not change it. Raises Conflict, and NotAllowed where `actor` may not enrol for one of them.
    """
    there = Server.objects.filter(host=draft.host, port=draft.port, jump=draft.jump).exclude(pk=draft.pk)
    stale = list(there.exclude(state=Server.State.RETIRED).exclude(fingerprint=draft.fingerprint))
    if stale and not before:
        raise Conflict(
            f"{draft.host}:{draft.port} showed the host key {draft.fingerprint}; {stale[0].name}, which is there, has "
            f"{stale[0].fingerprint} pinned. Nothing was recorded.",
            hint=f"Is the change meant, confirm it first: `manage.py enroll {stale[0].name} …`.",
            reason="host_key_mismatch",
        )
    for row in stale:
        require(actor, Verb.ENROL, row.environment)
    return stale


def _check(fingerprint: str, roles: Sequence[str]) -> None:
    if fingerprint and not _FINGERPRINT.match(fingerprint):
        raise InvalidRequest(
            f"{fingerprint!r} is no SHA256 fingerprint.",
            hint="On the server: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        )
    if unknown := sorted(set(roles) - set(ROLES)):
        raise InvalidRequest(f"Unknown role: {', '.join(unknown)}.", hint=f"Choose from {', '.join(ROLES)}.")


def check_host(host: str) -> None:
    """Raise InvalidRequest for an account or a port in the place of an address."""
    account, at, rest = host.rpartition("@")
    if at:
        raise InvalidRequest(
            f"{host!r} names an account, too.",
            hint=f"Give --host {rest} alone: who deploys is --user, and who prepares the server provision's "
            f"--bootstrap-user {account}.",
        )
    bare = host.strip("[]")
    if not _is_address(bare):
        name, colon, port = host.rpartition(":")
        if colon:
            raise InvalidRequest(f"{host!r} is no name or address.", hint=f"Give --host {name} --port {port}.")
    elif bare != host:
        raise InvalidRequest(f"{host!r} is no name or address.", hint=f"Give --host {bare}.")


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _confirmed(
    key: HostKey, whose: str, pinned: str, fingerprint: str, confirm: Callable[[HostKey, str], bool]
) -> HostKey:
    """The key that was shown, once it is the one that was named, or that a person has looked at."""
    if fingerprint and key.fingerprint != fingerprint:
        raise Conflict(
            f"{whose} showed the host key {key.fingerprint}, not {fingerprint}; nothing was recorded"
            + (f", {pinned} stays pinned." if pinned else "."),
            hint="Compare it on the server's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
            reason="host_key_mismatch",
        )
    if not fingerprint and not confirm(key, pinned):
        raise InvalidRequest("The host key was not confirmed; nothing was recorded.", reason="not_confirmed")
    return key


def _event(before: dict[str, Any], draft: Server) -> str:
    if not before:
        return "server.enrolled"
    now = _described(draft)
    same = all(before.get(name) in (None, now.get(name)) for name in ("fingerprint", "jump_fingerprint"))
    return "server.changed" if same else "server.host_key_confirmed"


def _described(server: Server) -> dict[str, Any]:
    """What enrolling decides, for the audit trail."""
    described = {name: getattr(server, name) for name in ("host", "port", "user", "roles", "fingerprint")}
    if server.jump:
        described |= {"jump": server.jump, "jump_fingerprint": HostKey.parse(server.jump_host_key).fingerprint}
    return described


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
            subject=f"environment:{environment}",
            environment=environment,
            data={"public_key": public},
        )
    environment.refresh_from_db()


def _draft(name: str, environment: Environment, wanted: Server) -> Server:
    """The record of this name, or a new one, once it could be as `wanted`."""
    check_host(wanted.host)
    if not wanted.roles:
        raise InvalidRequest("A server needs at least one role.", hint=f"Choose from {', '.join(ROLES)}.")
    existing = Server.objects.filter(name=name).first()
    if existing is not None and existing.environment_id != environment.pk:
        raise Conflict(
            f"{name} is a server of {existing.environment}.", hint="Choose another name.", reason="name_taken"
        )
    server = existing or Server(name=name, environment=environment, order=environment.servers.count())
    probe = copy(server)  # which knows that it is there already
    for field in ("host", "port", "user", "roles", "jump"):
        setattr(probe, field, getattr(wanted, field))
    probe.state = Server.State.ENROLLED
    try:
        probe.clean_fields(exclude=["host_key", "fingerprint"])
        refuse_second_place(probe)
        probe.validate_constraints()
    except ValidationError as error:
        raise InvalidRequest(_unusable(probe, error), hint="Nothing was recorded.") from error
    return server


def _unusable(probe: Server, error: ValidationError) -> str:
    """What cannot be so, by its name."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    sentences = []
    for field, said in error.message_dict.items():
        what = f"The {field} {getattr(probe, field)!r} cannot be used: " if field != NON_FIELD_ERRORS else ""
        sentences.append(f"{what}{' '.join(said)}")
    return " ".join(sentences)
