"""Making a server ready for its roles, through a bootstrap account that may become root."""

import secrets as random_bytes
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from deployments.access import tokens
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core import selectors
from deployments.core.actors import Actor, system_actor
from deployments.core.row_locks import locked_environment
from deployments.core.sessions import open_bootstrap, open_session
from deployments.environments.applications import bind, refuse_other_application
from deployments.environments.machines import refuse_account, refuse_clash
from deployments.environments.secrets import MADE, deliver_to, newest_secrets
from deployments.models import ApiToken, Release, Scope, Server
from deployments.releases import artifacts
from deployments.releases.compatibility import architectures_of
from deployments.servers.access_proof import prove_access
from deployments.servers.drift import secret_faults
from deployments.servers.enrolment import ensure_key, refuse_decommissioned
from engine.artifacts.deploy_toml import DeployToml, Health
from engine.commands import agent as agent_program
from engine.commands.provisioning import FIREWALL, ServerSetup, confirmation, operations, unit_digests
from engine.commands.role_setup import pack_for
from engine.errors import InvalidRequest
from engine.host.provision.unit_rules import BESIDE_A_RELEASE, accounts_of
from engine.remote import AgentClient
from engine.remote.bootstrap import Bootstrap
from engine.remote.provisioning import provision
from engine.remote.reports import Report
from engine.ssh.errors import HostUnreachable

FACTS = "facts"
_TOKENS = {
    "bot": ("heartbeats", [Scope.HEARTBEAT]),
    "monitoring": ("monitoring", [Scope.METRICS, Scope.ALERTS]),
}
"""What a role reports to the portal with (`MADE`): what it is for, what it may do."""


def provision_server(
    *,
    actor: Actor,
    server: Server,
    release: Release,
    bootstrap: Bootstrap,
    plan: bool = False,
    strict_firewall: bool | None = None,
    on_report: Callable[[Report], None] = lambda _: None,
) -> list[Report]:
    """Bring a server into the state its roles need, with the units of `release`; with `plan` change nothing.

    `strict_firewall` is recorded and holds from then on; None is what the record says. Idempotent. Afterwards the
    account that deploys has signed in there, the record has what was found and the digests of the unit files, and the
    server has the environment's secrets. Raises NotAllowed, InvalidRequest, SSHError, ProvisionFailed.
    """
    environment = server.environment
    require(actor, Verb.PROVISION, environment)
    refuse_decommissioned(server)
    refuse_account(server, release.name)
    refuse_other_application(environment, release.name)
    if not plan:
        with transaction.atomic():
            ensure_key(actor=actor, environment=environment)
    strict = server.strict_firewall if strict_firewall is None else strict_firewall
    setup = setup_for(server, release, strict=strict)
    reports = _carry_out(server, setup, bootstrap, plan=plan, on_report=on_report)
    if plan:
        return reports
    prove_access(server=server, application=release.name, reports=reports, bootstrap=bootstrap)
    _record(actor, server, release, setup, reports)
    _bring_secrets(actor, server)
    return reports


def _carry_out(
    server: Server,
    setup: ServerSetup,
    bootstrap: Bootstrap,
    *,
    plan: bool,
    on_report: Callable[[Report], None],
) -> list[Report]:
    """Every operation; strict rules are confirmed by a new connection, past them, or else take themselves back."""
    with open_bootstrap(server, bootstrap) as session:
        reports = provision(session, operations(setup), plan=plan, sudo=bootstrap.sudo, on_report=on_report)
    tried = any(report.operation == FIREWALL and report.state == "changed" for report in reports)
    if setup.strict and tried and not plan:
        with open_bootstrap(server, bootstrap) as anew:
            provision(anew, confirmation(setup.name), sudo=bootstrap.sudo)
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
        deploy, machines = reader.deploy, architectures_of(reader, server.roles)
        roles = {name: role for name, role in deploy.roles.items() if name in server.roles}
        if not roles:
            raise InvalidRequest(
                f"{release} has nothing for the roles of {server.name} ({', '.join(server.roles)}).",
                hint=f"deploy.toml describes: {', '.join(deploy.roles)}.",
            )
        units = {path.rpartition("/")[2]: reader.read(path) for role in roles.values() for path in role.units}
        runs_as = {
            path.rpartition("/")[2]: accounts_of(release.name, name) for name in roles for path in roles[name].units
        }
        table = artifacts.table_of(deploy, environment)
        refuse_clash([server], deploy)
        checks = _checks(deploy, table, roles)
        there = {entry.path for entry in reader.manifest.files}
        beside = {name: reader.read(path) for name in BESIDE_A_RELEASE if (path := f"systemd/{name}") in there}
    pack = pack_for(roles, release.name, server.host, beside)
    return ServerSetup(
        name=release.name,
        deploys=server.user,
        units=units,
        roles=list(server.roles),
        runs_as=runs_as,
        public_keys=[key for key in (environment.public_key, environment.next_public_key) if key],
        retired_keys=[environment.previous_public_key] if environment.previous_public_key else [],
        agent=agent_program.source("agent"),
        clock=timezone.now().timestamp(),
        python=deploy.python,
        architectures=machines,
        strict=strict,
        private_ports=sorted({urlsplit(health.url).port or 80 for health in checks}),
        allowed=sorted({*_our_addresses(server), *_watchers(server)}),
        packages=pack.packages,
        public_ports=sorted({*pack.public_ports, *(port for role in roles.values() for port in role.ports)}),
        extra=pack.operations,
    )


def _checks(deploy: DeployToml, table: str, roles: Iterable[str]) -> list[Health]:
    """The health checks of these roles, where the release describes the environment."""
    return [check for name in roles if table in deploy.environments and (check := deploy.health(table, name))]


def _our_addresses(server: Server) -> set[str]:
    """Those by which this machine reaches the server, where no jump host stands between; nothing is sent."""
    found: set[str] = set()
    for address in () if server.jump else _addresses(server):
        with suppress(OSError), socket.socket(_family(address), socket.SOCK_DGRAM) as probe:  # no way there
            probe.connect((address, server.port))
            found.add(str(probe.getsockname()[0]))
    return found


def _watchers(server: Server) -> list[str]:
    """Addresses of the servers that ask bots how they are: portal and monitoring."""
    others = Server.objects.exclude(pk=server.pk).exclude(state=Server.State.RETIRED)
    watching = [other for other in others if {"portal", "monitoring"} & set(other.roles)]
    return [address for other in watching for address in _addresses(other)]


def _addresses(server: Server) -> list[str]:
    """All addresses of its name, which behind a jump host need not mean anything here. Raises HostUnreachable."""
    try:
        found = socket.getaddrinfo(server.host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if server.jump:
            return []
        raise HostUnreachable(
            f"{server.name}: {server.host} has no address here ({error.strerror}).",
            hint="Correct the name or the resolver, or enrol the server again by its address.",
        ) from error
    return sorted({str(info[4][0]) for info in found})


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def changed(reports: list[Report]) -> list[Report]:
    """The operations that changed something (or would)."""
    return [report for report in reports if report.state == "changed"]


def _record(actor: Actor, server: Server, release: Release, setup: ServerSetup, reports: list[Report]) -> None:
    found = next((report.facts for report in reports if report.operation == FACTS), {})
    with transaction.atomic():
        environment = locked_environment(server.environment_id)
        locked = Server.objects.select_for_update().get(pk=server.pk)
        locked.facts = {**locked.facts, **found}
        if locked.current_release_id in (None, release.pk):  # else the units stay those of what is live
            locked.unit_files = unit_digests(setup)
        locked.strict_firewall = setup.strict
        locked.state = Server.State.PROVISIONED
        locked.provisioned_at = timezone.now()
        locked.save(update_fields=["facts", "unit_files", "strict_firewall", "state", "provisioned_at"])
        bind(environment, release.name)
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
    for role, (title, scopes) in _TOKENS.items():
        name = MADE[role]
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
        proofs = AgentClient(session, server.environment.application).inspect(nonce=nonce).get("secret_proofs", {})
    return set(secret_faults(server, proofs, nonce))
