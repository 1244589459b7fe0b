"""What else is on a server's machine: other applications, each with accounts, a tree, units and ports of its own.

A machine is what answers at one address and port, by one way, or shows one host key. It holds an application once: else
an environment without approvals would be a way into the tree of one that asks for them.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from django.db.models import Q, QuerySet

from deployments.core.actors import in_words
from deployments.core.processes import silence
from deployments.core.texts import named
from deployments.environments.guards import refuse_busy
from deployments.models import Environment, Operation, Server
from deployments.releases import artifacts
from engine.artifacts.deploy_toml import DeployToml
from engine.errors import Conflict, InvalidRequest, PortalError
from engine.host.provision.ownership import DEPLOYING, own_account


def at_place(host: str, port: int, jump: str) -> QuerySet[Server]:
    """The servers in service at one address and port, by one way."""
    return Server.objects.filter(host=host, port=port, jump=jump).exclude(state=Server.State.RETIRED)


def neighbours(servers: Sequence[Server], *, without: Sequence[str] = ()) -> list[list[Server]]:
    """Other servers in service on the machine of each, whose record need not be saved yet. One query for all.

    Those of the applications `without` are not looked for.
    """
    keys = {server.host_key for server in servers} - {""}
    there = Q(host__in={server.host for server in servers}) | Q(host_key__in=keys)
    rows = Server.objects.filter(there).exclude(state=Server.State.RETIRED)
    rows = rows.exclude(environment__application__in=without)
    found = list(rows.select_related("environment", "current_release").order_by("pk"))
    return [[row for row in found if row.pk != server.pk and _same(row, server)] for server in servers]


def known_as(host_key: str, without: str) -> str:
    """What else is on the machine that shows this key, as a sentence; empty where the record knows of nothing."""
    rows = Server.objects.filter(host_key=host_key).exclude(state=Server.State.RETIRED).exclude(name=without)
    names = [f"{row.name} of {row.environment}" for row in rows.select_related("environment").order_by("name")]
    said = "Provisioning one of them waits for what is done to the others."
    return f"This machine is already known as {named(names)}: its host key is the same. {said}" if names else ""


def refuse_work_beside(server: Server) -> None:
    """Raise EnvironmentBusy or Conflict where its machine is deployed to or provisioned by the name of another record.

    Provisioning writes rules, accounts and packages of the machine as a whole.
    """
    for other in neighbours([server])[0]:
        refuse_busy(other.environment)
        provisionings = other.operations.filter(kind=Operation.Kind.PROVISION, state__in=Operation.ACTIVE)
        if active := provisionings.first():
            raise Conflict(
                f"{active} is under way, asked for by {in_words(active.requested_by)}, "
                f"and {server.name} is the same machine.",
                hint=silence(active) or "Ask again when it has ended.",
                reason="operation_active",
            )


def deploying_account(environment: Environment, host: str, port: int, jump: str = "") -> str:
    """Who deploys there unless somebody says otherwise: the machine's own, or the application's beside another one."""
    used = at_place(host, port, jump).exists()
    return own_account(environment.application) if used and environment.application else DEPLOYING


def refuse_second_place(server: Server) -> None:
    """Raise Conflict where `server` would not be a place of its own on its machine."""
    for other in neighbours([server])[0]:
        ours, theirs = server.environment.application, other.environment.application
        if not ours or not theirs:
            unbound = server.environment if not ours else other.environment
            raise Conflict(
                f"{other.name} is on that machine already, and {unbound} belongs to no application yet.",
                hint="Beside it another application has a place: `manage.py environments add APPLICATION/NAME`.",
                reason="machine_taken",
            )
        if ours == theirs:
            raise Conflict(
                f"A machine holds an application once, and {other.name} of {other.environment} holds {ours} there.",
                hint="Use another machine, or decommission that server first.",
                reason="machine_taken",
            )
        if server.user == other.user:
            raise Conflict(
                f"The account {server.user} deploys {theirs} there ({other.name}): its key would open both.",
                hint=f"Leave out --user, or give --user {own_account(ours)}.",
                reason="account_shared",
            )


def refuse_clash(servers: Sequence[Server], deploy: DeployToml) -> None:
    """Raise Conflict where what a release brings to `servers` belongs to another application of their machines."""
    for server, others in zip(servers, neighbours(servers, without=("", deploy.name)), strict=True):
        if not others:
            continue
        ours = {role for role in server.roles if role in {*deploy.roles}}
        table = artifacts.table_of(deploy, server.environment)
        # older installations share the first account
        mine = _taken(deploy, table, ours, accounts={deploy.name, server.user} - {DEPLOYING})
        for other in others:
            for what in sorted(mine & _taken_by(other)):
                raise Conflict(
                    f"{other.environment.application} has the {what} on the machine of {server.name} ({other.name}).",
                    hint=f"Give {deploy.name} another one in its deploy.toml and build a new release.",
                    reason="taken_on_machine",
                )


def _same(one: Server, other: Server) -> bool:
    """Whether two records are of one machine."""
    place = (one.host, one.port, one.jump) == (other.host, other.port, other.jump)
    return place or bool(one.host_key and one.host_key == other.host_key)


def _taken_by(server: Server) -> set[str]:
    known = {f"unit {name}" for name in server.unit_files}
    known |= {f"account {name}" for name in (server.environment.application, server.user)}
    if server.current_release is None:
        return known
    try:
        with artifacts.open_release(server.current_release) as reader:
            table = artifacts.table_of(reader.deploy, server.environment)
            return known | _taken(reader.deploy, table, server.roles)
    except (PortalError, OSError):  # it runs all the same; the server itself refuses what is taken
        return known


def _taken(deploy: DeployToml, table: str, roles: Iterable[str], accounts: Iterable[str] = ()) -> set[str]:
    found = {f"account {name}" for name in accounts}
    for name, role in deploy.roles.items():
        if name not in roles:
            continue
        found |= {f"unit {path.rpartition('/')[2]}" for path in role.units}
        found |= {f"port {port}" for port in role.ports}
        health = deploy.health(table, name) if table in deploy.environments else None
        if health is not None:
            found.add(f"port {urlsplit(health.url).port or 80}")
    return found


def refuse_account(server: Server, application: str) -> None:
    """Raise InvalidRequest for an account that provisioning does not make for `application`."""
    makes = (DEPLOYING, own_account(application))
    if server.user not in makes:
        raise InvalidRequest(
            f"{server.name} was enrolled with the account {server.user}; provisioning makes {' or '.join(makes)}.",
            hint=f"Enrol it again with --user {makes[0]}, or --user {makes[1]} beside another application.",
        )
