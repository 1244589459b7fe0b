"""Taking a server out of service: everything of ours off the machine, its history kept on the record."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from deployments.access import tokens
from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor, system_actor
from deployments.core.row_locks import locked_environment
from deployments.core.sessions import open_bootstrap
from deployments.environments.guards import refuse_busy
from deployments.models import ApiToken, Server
from engine.commands.decommissioning import Removal, operations
from engine.errors import InvalidRequest
from engine.remote.bootstrap import Bootstrap
from engine.remote.provisioning import ignore, provision
from engine.remote.reports import Report


def decommission_server(
    *,
    actor: Actor,
    server: Server,
    bootstrap: Bootstrap,
    plan: bool = False,
    delete_data: bool = False,
    on_report: Callable[[Report], None] = ignore,
) -> list[Report]:
    """Stop and remove everything that provisioning and deployments put on a server; with `plan` change nothing.

    What the application wrote and its backups stay unless `delete_data`. The server is no target any more before the
    first thing is removed; ended half-way, running it again goes on. So it does after `decommission_on_record`. Raises
    NotAllowed, EnvironmentBusy, InvalidRequest, SSHError, ProvisionFailed.
    """
    require(actor, Verb.DECOMMISSION, server.environment)
    _refuse_own(server)
    _refuse_anothers(server)
    refuse_busy(server.environment)
    removal = removal_of(server, delete_data=delete_data)
    wanted = operations(removal)
    with open_bootstrap(server, bootstrap) as session:
        planned = provision(session, wanted, plan=True, sudo=bootstrap.sudo, on_report=on_report if plan else ignore)
        if plan:
            return planned
        _retire(actor, server)
        reports = provision(session, wanted, sudo=bootstrap.sudo, on_report=on_report)
    _record(actor, server, kept=[] if delete_data else removal.data, left=[], reports=reports)
    return reports


def decommission_on_record(*, actor: Actor, server: Server) -> list[str]:
    """Only mark the record, for a machine that nobody reaches; returns what stays on it, as sentences.

    Raises NotAllowed, EnvironmentBusy, InvalidRequest.
    """
    require(actor, Verb.DECOMMISSION, server.environment)
    _refuse_own(server)
    left = what_stays(server)
    _retire(actor, server)
    _record(actor, server, kept=[], left=left, reports=[])
    return left


def removal_of(server: Server, *, delete_data: bool = False) -> Removal:
    """What of ours is on a server, by its record. Raises InvalidRequest when nothing was ever put there."""
    environment = server.environment
    if not environment.application:
        raise InvalidRequest(
            f"{server.name} was never provisioned, so there is nothing of ours on it.",
            hint="Give --record-only to mark its record.",
            reason="not_provisioned",
        )
    keys = (environment.public_key, environment.next_public_key, environment.previous_public_key)
    return Removal(
        name=environment.application,
        deploys=server.user,
        roles=server.roles,
        units=server.unit_files,
        public_keys=[key for key in keys if key],
        delete_data=delete_data,
    )


def what_stays(server: Server) -> list[str]:
    """What is left on a machine that is decommissioned on record only."""
    if server.state == Server.State.ENROLLED or not server.environment.application:
        return []
    removal = removal_of(server)
    return [
        f"{', '.join(removal.all_units)} go on running there and start at every boot.",
        f"/opt/{removal.name} with its configuration and secrets, the data and the backups stay.",
        f"The key of {server.environment} still opens the account {server.user}, which may use sudo for these units.",
        "Set new passwords for the bot (set_secret) and rotate the key (rotate_keys) if the machine may come back.",
    ]


def _refuse_own(server: Server) -> None:
    if "portal" in server.roles and urlsplit(settings.PORTAL_URL).hostname == server.host.strip("[]"):
        raise InvalidRequest(
            f"{server.name} is the server that this portal runs on.",
            hint="Decommission it from another portal, into which you restored a backup of this one.",
            reason="own_server",
        )


def _refuse_anothers(server: Server) -> None:
    """A decommissioned record whose machine serves again, under another name."""
    others = Server.objects.exclude(pk=server.pk).exclude(state=Server.State.RETIRED)
    if other := others.filter(host=server.host, port=server.port, user=server.user, jump=server.jump).first():
        raise InvalidRequest(f"{server.name} is decommissioned, and its machine is {other.name} now.", reason="reused")


def _retire(actor: Actor, server: Server) -> None:
    """From here on it is no target, nobody scrapes or shows it, and what it reports is refused."""
    with transaction.atomic():
        refuse_busy(locked_environment(server.environment_id))
        if Server.objects.exclude(state=Server.State.RETIRED).filter(pk=server.pk).update(state=Server.State.RETIRED):
            _event(actor, server, "server.retired", {"host": server.host, "fingerprint": server.fingerprint})
        for token in ApiToken.objects.filter(server=server, revoked_at=None):
            tokens.revoke_token(actor=system_actor("decommissioning"), token=token)
    server.refresh_from_db()


def _record(actor: Actor, server: Server, *, kept: list[str], left: list[str], reports: list[Report]) -> None:
    """The record forgets what the machine had, but not where it was; deployments and audit trail stay as they are."""
    changes = [
        {"what": row.name, "before": row.before, "after": row.after} for row in reports if row.state == "changed"
    ]
    with transaction.atomic():
        if not left:
            server.unit_files, server.secret_versions = {}, {}
        server.current_release = server.previous_release = None
        server.config_digest, server.readiness, server.drift = "", {}, {}
        server.facts = {name: words for name, words in (("kept there", kept), ("left there", left)) if words}
        server.save()
        _event(actor, server, "server.decommissioned", {"changes": changes, "kept": kept, "left": left})
    server.refresh_from_db()


def _event(actor: Actor, server: Server, name: str, data: dict[str, object]) -> None:
    trail.record(actor=actor, name=name, subject=f"server:{server.name}", environment=server.environment, data=data)
