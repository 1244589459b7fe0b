"""Provisioning by a worker: asked for with an account that may become root, whose keys nobody keeps.

They lie encrypted in a table of their own from the request until a worker begins, and are deleted then, or when none
began in time; no backup has them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from deployments.access.policy import require, user_actor
from deployments.access.verbs import Verb
from deployments.core import selectors
from deployments.core.actors import Actor, identity_in
from deployments.core.masking import Mask
from deployments.core.texts import plural
from deployments.models import BootstrapKey, Operation, Release, Server
from deployments.models.encryption import SecretText
from deployments.operations.requesting import ask
from deployments.servers.enrolment import refuse_decommissioned
from deployments.servers.provisioning import changed, provision_server, release_to_provision
from engine.errors import Conflict, InvalidRequest, NotApproved, PortalError
from engine.remote.bootstrap import Bootstrap
from engine.remote.reports import Report
from engine.ssh.keys import EncryptedKey, HostKey, PrivateKey

SECONDS = 1800
"""The most that a worker spends on it: packages may have to be fetched first."""


@dataclass(frozen=True)
class BootstrapAccount:
    """Root, or an account that may become it; `password` is what sudo asks for."""

    user: str
    key: str = field(repr=False)
    passphrase: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def private_key(self) -> PrivateKey:
        """Raises UnusableKey, EncryptedKey without its passphrase."""
        try:
            return PrivateKey(self.key, self.passphrase)
        except EncryptedKey as error:
            raise EncryptedKey(error.message, hint="Give the passphrase that opens it.") from error


def ask_for_provisioning(*, actor: Actor, server: Server, account: BootstrapAccount) -> Operation:
    """Have a worker make a server ready, with the units that `release_to_provision` names.

    Raises NotAllowed, InvalidRequest, UnusableKey, NotFound without a release, EnvironmentBusy, Conflict.
    """
    require(actor, Verb.PROVISION, server.environment)
    refuse_decommissioned(server)
    account.private_key()
    release, _ = release_to_provision(server)
    request = request_for(server, release, account.user)
    with transaction.atomic():
        row = ask(actor=actor, server=server, kind=Operation.Kind.PROVISION, request=request)
        sealed = SecretText(json.dumps([account.key, account.passphrase, account.password]))
        BootstrapKey.objects.create(operation=row, sealed=sealed)
    return row


def provision_as_asked(row: Operation, hear: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
    """Carry it out; how it ended as a sentence, and facts. `hear` gets a line for all that changes.

    Raises Conflict when the server's address, way or key is another one by now, and what `provision_server` does.
    """
    account = _account_of(row)
    hide = Mask([("password", account.password), ("passphrase", account.passphrase)])
    server, request = row.server, row.request
    if any(request.get(name) != value for name, value in _place(server).items()):
        raise Conflict(
            f"{server.name} has another address, way or host key than when this was asked for.", hint="Ask again."
        )
    hear(f"Signing in to {server.host} as {account.user}.")
    try:
        reports = provision_server(
            actor=_asker(row),
            server=server,
            release=selectors.release_named(request["release"]),
            bootstrap=Bootstrap(account.user, (account.private_key(),), lambda: _password(account)),
            on_report=lambda report: _tell(report, lambda line: hear(hide(line))),
        )
    except PortalError as error:
        error.message = hide(error.message)
        raise
    return told(server, reports)


def told(server: Server, reports: list[Report]) -> tuple[str, dict[str, Any]]:
    """How a provisioning that succeeded ended, as a sentence and facts."""
    done = len(changed(reports))
    return f"{server.name} is provisioned: {done} of {plural(len(reports), 'thing')} changed.", {"changed": done}


def _asker(row: Operation) -> Actor:
    person = get_user_model().objects.filter(username=identity_in(row.requested_by)).first()
    if person is None:
        raise NotApproved(f"{row.requested_by} is no person of this portal.", hint="Somebody who may can ask for it.")
    return user_actor(person)


def request_for(server: Server, release: Release, account: str) -> dict[str, Any]:
    """What exactly is asked for: as whom, whose units, where."""
    return {"account": account, "release": release.identifier, "seconds": SECONDS, **_place(server)}


def _place(server: Server) -> dict[str, Any]:
    """Where key and password would go, and by which way: by the keys that are pinned, not by what is said of them."""
    return {
        "host": server.host,
        "port": server.port,
        "fingerprint": HostKey.parse(server.host_key).fingerprint,
        "jump": server.jump,
        "jump_fingerprint": HostKey.parse(server.jump_host_key).fingerprint if server.jump else "",
    }


def _account_of(row: Operation) -> BootstrapAccount:
    kept: BootstrapKey | None = getattr(row, "bootstrap_key", None)
    if kept is None:
        raise Conflict("The keys of the account are not kept any more, so nothing was done.", hint="Ask again.")
    return BootstrapAccount(row.request["account"], *json.loads(kept.sealed))


def _password(account: BootstrapAccount) -> str:
    if not account.password:
        raise InvalidRequest(
            f"sudo asks for the password of {account.user}, and none was given.",
            hint="Ask again, with the password.",
            reason="no_password",
        )
    return account.password


def lines_of(report: Report) -> list[str]:
    """What changes, and how a unit differs, for the record; nothing of what was so already."""
    return [] if report.state == "ok" else [report.sentence, *(f"    {line}" for line in report.difference)]


def _tell(report: Report, say: Callable[[str], None]) -> None:
    for line in lines_of(report):
        say(line)
