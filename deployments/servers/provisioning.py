"""Making a server ready for its roles, through a bootstrap account that may become root."""

import secrets as random_bytes
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from deployments.access import tokens
from deployments.access.policy import require
from deployments.audit import trail
from deployments.core import selectors
from deployments.core.actors import Actor, system_actor
from deployments.core.sessions import agent, masked, open_session
from deployments.environments.secrets import deliver_to, newest_secrets
from deployments.models import ApiToken, Environment, Release, Scope, Server
from deployments.releases import artifacts
from deployments.servers.drift import secret_faults
from deployments.servers.enrolment import ensure_key, refuse_decommissioned
from engine.commands import agent as agent_program
from engine.commands.provisioning import DEPLOY_USER, FIREWALL, ServerSetup, confirmation, operations, unit_digests
from engine.commands.role_setup import pack_for
from engine.errors import InvalidRequest
from engine.host.provision.unit_rules import BESIDE_A_RELEASE, accounts_of
from engine.remote.provisioning import provision
from engine.remote.reports import Report
from engine.ssh.keys import HostKey, PrivateKey
from engine.ssh.session import Session
from engine.ssh.transport import Address

PORTAL_TOKEN = "portal-token"  # noqa: S105  (the name of a secret)
MONITORING_TOKEN = "monitoring-token"  # noqa: S105
FACTS = "facts"
_TOKENS = {
    "bot": (PORTAL_TOKEN, "heartbeats", [Scope.HEARTBEAT]),
    "monitoring": (MONITORING_TOKEN, "monitoring", [Scope.METRICS, Scope.ALERTS]),
}
"""What a role reports to the portal with: the secret's name, what it is for, what it may do."""


def provision_server(
    *,
    actor: Actor,
    server: Server,
    release: Release,
    bootstrap_user: str,
    bootstrap_key: PrivateKey,
    plan: bool = False,
    strict_firewall: bool | None = None,
    on_report: Callable[[Report], None] = lambda report: None,
) -> list[Report]:
    """Bring a server into the state its roles need, with the units of `release`; with `plan` change nothing.

    `strict_firewall` is recorded and holds from then on; None is what the record says. Idempotent. Afterwards the
    record has what was found and the digests of the unit files, and the server has the environment's secrets. Raises
    NotAllowed, InvalidRequest, SSHError, ProvisionFailed.
    """
    environment = server.environment
    require(actor, "provision", environment)
    refuse_decommissioned(server)
    if server.user != DEPLOY_USER:
        raise InvalidRequest(
            f"{server.name} was enrolled with the account {server.user}; provisioning makes {DEPLOY_USER}.",
            hint=f"Enrol it again with --user {DEPLOY_USER}.",
        )
    if environment.application and environment.application != release.name:
        raise InvalidRequest(f"{environment} runs {environment.application}; {release} is a release of {release.name}.")
    if not plan:
        with transaction.atomic():
            ensure_key(actor=actor, environment=environment)
    strict = server.strict_firewall if strict_firewall is None else strict_firewall
    setup = setup_for(server, release, strict=strict)
    reports = _carry_out(server, setup, bootstrap_user, bootstrap_key, plan=plan, on_report=on_report)
    if plan:
        return reports
    _record(actor, server, release, setup, reports)
    _bring_secrets(actor, server)
    return reports


def _carry_out(
    server: Server,
    setup: ServerSetup,
    user: str,
    key: PrivateKey,
    *,
    plan: bool,
    on_report: Callable[[Report], None],
) -> list[Report]:
    """Every operation; strict rules are confirmed by a new connection, past them, or else take themselves back."""
    address = Address(server.host, server.port, user, HostKey.parse(server.host_key))
    with masked(server.environment_id), Session(address, key) as session:
        reports = provision(session, operations(setup), plan=plan, sudo=user != "root", on_report=on_report)
    tried = any(report.operation == FIREWALL and report.state == "changed" for report in reports)
    if setup.strict and tried and not plan:
        with masked(server.environment_id), Session(address, key) as anew:
            provision(anew, confirmation(setup.name), sudo=user != "root")
    return reports


def release_to_provision(server: Server) -> tuple[Release, str]:
    """The release whose units a server gets unless somebody names one, and why it is not its own: live there ("").

    Where nothing is live yet: what is live beside it, then elsewhere, then the newest. Raises NotFound.
    """
    environment = server.environment
    if server.current_release is not None:
        return server.current_release, ""
    live = Server.objects.exclude(current_release=None).exclude(state=Server.State.RETIRED).order_by("order", "pk")
    if environment.application:
        live = live.filter(current_release__name=environment.application)
    beside = live.filter(environment=environment).first()
    other = beside or (live.first() if environment.application else None)
    if other is not None and other.current_release is not None:
        return other.current_release, f"which is live on {other.name}: nothing is live on {server.name} yet"
    return selectors.newest_release(environment.application), "the newest: nothing is live anywhere yet"


def setup_for(server: Server, release: Release, *, strict: bool = False) -> ServerSetup:
    """What to make of a server so that it can run `release` in its roles, behind a `strict` firewall or our own."""
    environment = server.environment
    with artifacts.open_release(release) as reader:
        deploy = reader.deploy
        roles = {name: role for name, role in deploy.roles.items() if name in server.roles}
        if not roles:
            raise InvalidRequest(
                f"{release} has nothing for the roles of {server.name} ({', '.join(server.roles)}).",
                hint=f"deploy.toml describes: {', '.join(deploy.roles)}.",
            )
        units = {path.rpartition("/")[2]: reader.read(path) for role in roles.values() for path in role.units}
        runs_as = {
            path.rpartition("/")[2]: accounts_of(release.name, name)
            for name, role in roles.items()
            for path in role.units
        }
        described = roles if environment.name in deploy.environments else {}
        offered = {port for role in roles.values() for port in role.ports}
        checks = [health for name in described if (health := deploy.health(environment.name, name))]
        there = {entry.path for entry in reader.manifest.files}
        beside = {name: reader.read(path) for name in BESIDE_A_RELEASE if (path := f"systemd/{name}") in there}
    pack = pack_for(roles, release.name, server.host, beside)
    return ServerSetup(
        name=release.name,
        units=units,
        runs_as=runs_as,
        public_keys=[key for key in (environment.public_key, environment.next_public_key) if key],
        retired_keys=[environment.previous_public_key] if environment.previous_public_key else [],
        agent=agent_program.source("agent"),
        clock=time.time(),
        python=deploy.python,
        strict=strict,
        private_ports=sorted({urlsplit(health.url).port or 80 for health in checks}),
        allowed=sorted({_our_address(server), *_watchers(environment, server)}),
        packages=pack.packages,
        public_ports=sorted({*pack.public_ports, *offered}),
        extra=pack.operations,
    )


def _our_address(server: Server) -> str:
    """The address from which this machine reaches the server; nothing is sent."""
    family = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)[0][0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((server.host, server.port))
        return str(probe.getsockname()[0])


def _watchers(environment: Environment, server: Server) -> list[str]:
    """Addresses of the servers that ask bots how they are: portal and monitoring."""
    others = Server.objects.exclude(pk=server.pk).exclude(state=Server.State.RETIRED)
    hosts = [other.host for other in others if {"portal", "monitoring"} & set(other.roles)]
    return [info[4][0] for host in hosts for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[:1]]  # type: ignore[misc]  # an address is text for both families


def changed(reports: list[Report]) -> list[Report]:
    """The operations that changed something (or would)."""
    return [report for report in reports if report.state == "changed"]


def _record(actor: Actor, server: Server, release: Release, setup: ServerSetup, reports: list[Report]) -> None:
    found = next((report.facts for report in reports if report.operation == FACTS), {})
    with transaction.atomic():
        locked = Server.objects.select_for_update().get(pk=server.pk)
        locked.facts = {**locked.facts, **found}
        locked.unit_files = unit_digests(setup)
        locked.strict_firewall = setup.strict
        locked.state = Server.State.PROVISIONED
        locked.provisioned_at = timezone.now()
        locked.save(update_fields=["facts", "unit_files", "strict_firewall", "state", "provisioned_at"])
        Environment.objects.filter(pk=server.environment_id, application="").update(application=release.name)
        if changes := changed(reports):
            trail.record(
                actor=actor,
                name="server.provisioned",
                subject=f"server:{server.name}",
                environment=server.environment,
                data={
                    "release": release.identifier,
                    "firewall": "strict" if setup.strict else "own",
                    "changes": [
                        {"what": report.name, "before": report.before, "after": report.after} for report in changes
                    ],
                },
            )
    server.refresh_from_db()


def _bring_secrets(actor: Actor, server: Server) -> None:
    """Deliver what the server does not have in its newest version, and the tokens its roles report with."""
    server.environment.refresh_from_db()
    faults = _faulty_secrets(server)
    wanted = [
        secret
        for secret in newest_secrets(server.environment)
        if server.secret_versions.get(secret.name) != secret.version or secret.name in faults
    ]
    deliver_to(actor=actor, server=server, secrets=[(item.name, item.version, str(item.value)) for item in wanted])
    for role, (name, title, scopes) in _TOKENS.items():
        valid = ApiToken.objects.filter(server=server, revoked_at=None, pk=server.secret_versions.get(name, 0))
        if role not in server.roles or (valid.exists() and name not in faults):
            continue
        token, text = tokens.issue_token(
            actor=system_actor("provisioning"),
            name=f"{title} of {server.name}",
            scopes=scopes,
            server=server,
            days=None,
        )
        deliver_to(actor=actor, server=server, secrets=[(name, token.pk, str(text))])


def _faulty_secrets(server: Server) -> set[str]:
    """What was delivered and lies there otherwise."""
    if not server.secret_versions:
        return set()
    nonce = random_bytes.token_hex(16)
    with open_session(server) as session:
        proofs = agent(session, server.environment.application).inspect(nonce=nonce).get("secret_proofs", {})
    return set(secret_faults(server, proofs, nonce))
