"""Deploying straight from a workflow's runner: no portal stands behind it, its database lives for one job.

What such a deployment needs is brought together here: where the server is and how to reach it from the job's secrets,
what runs there from the server itself, who asked and who approved from GitHub. Everything else is the ordinary request,
approval and execution. The server's journal keeps the history; a portal takes it over later (`servers.adoption`).
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from deployments.core.actors import Actor, shell_actor, system_actor
from deployments.github import reviews
from deployments.github.reviews import Review, WorkflowRun
from deployments.models import Deployment, Environment, Release, Role, Server
from deployments.models.encryption import SecretText
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.servers.adoption import adopt_server
from engine.errors import Conflict, InvalidRequest, NotAllowed
from engine.ssh.keys import HostKey, PrivateKey

PREFIXES = {"test": "TEST", "production": "PROD"}
"""How the names of an environment's secrets begin."""

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


def secret_names(environment: str) -> dict[str, str]:
    """The four secrets of an environment, by what they hold. Raises InvalidRequest for an environment without any."""
    if environment not in PREFIXES:
        raise InvalidRequest(
            f"There are no GitHub secrets for {environment}.", hint=f"They exist for {' and '.join(PREFIXES)}."
        )
    prefix = PREFIXES[environment]
    return {
        "key": f"SSH_KEY_{prefix}",
        "host": f"{prefix}_SERVER_HOST",
        "user": f"{prefix}_SERVER_USER",
        "host_key": f"{prefix}_SERVER_HOST_KEY",
    }


@dataclass(frozen=True)
class Access:
    """How to reach an environment's server, from the secrets of a job."""

    host: str
    port: int
    user: str
    host_key: HostKey
    key: SecretText = field(repr=False)

    @classmethod
    def from_environment(cls, environment: str, environ: Mapping[str, str]) -> "Access":
        """From the four secrets as environment variables. Raises InvalidRequest naming all that are missing."""
        names = secret_names(environment)
        values = {what: environ.get(name, "").strip() for what, name in names.items()}
        if absent := [names[what] for what, value in values.items() if not value]:
            raise InvalidRequest(
                f"Missing: {', '.join(absent)}.",
                hint=f"`manage.py github_secrets {environment}` prints how to set them.",
                reason="secret_missing",
            )
        address = _ADDRESS.fullmatch(values["host"])
        if address is None:
            raise InvalidRequest(f"{names['host']} is no address: give host, host:port or [address]:port.")
        PrivateKey(values["key"])  # refused now, in a sentence, rather than at the connection
        return cls(
            host=address["six"] or address["name"],
            port=int(address["port"] or 22),
            user=values["user"],
            host_key=HostKey.parse(values["host_key"]),
            key=SecretText(values["key"] + "\n"),
        )


def prepare(*, environment: Environment, release: Release, access: Access, roles: Sequence[str]) -> Server:
    """Fill this job's empty database: the server with its pinned key, and what it says about itself.

    Raises InvalidRequest, Conflict in a database that has servers already, SSHError, NotProvisioned, EnvironmentBusy.
    """
    actor = system_actor("runner")
    if Server.objects.exists():
        raise Conflict(
            "This database has servers: it is a portal's, not one made for this job.",
            hint="Deploy with `manage.py deploy`; for a runner, set PORTAL_STATE_DIR to an empty directory.",
            reason="not_empty",
        )
    server = Server(
        name=f"{environment.name}-1",
        environment=environment,
        host=access.host,
        port=access.port,
        user=access.user,
        roles=list(roles),
        host_key=str(access.host_key),
        fingerprint=access.host_key.fingerprint,
    )
    try:
        server.full_clean()
    except ValidationError as error:
        raise InvalidRequest(" ".join(error.messages), hint="Look at the environment's secrets.") from error
    with transaction.atomic():
        environment.private_key, environment.public_key = access.key, PrivateKey(access.key).public_line
        environment.save(update_fields=["private_key", "public_key"])
        server.save()
    adopt_server(actor=actor, server=server, application=release.name, history=False)
    return server


def review_for(environment: Environment, run: WorkflowRun | None) -> Review | None:
    """Who reviewed this run, where the environment asks for an approval. Raises what `review_of` raises, NotAllowed."""
    if not environment.protected:
        return None
    if run is None:
        raise NotAllowed(
            f"{environment} needs an approval, and outside a workflow run there is nobody who gave one.",
            hint="Use the workflow, or a portal.",
            reason="not_reviewed",
        )
    return reviews.review_of(run, environment.name)


def request_from_runner(
    *,
    environment: Environment,
    release: Release,
    reason: str,
    run: WorkflowRun | None,
    review: Review | None,
    login: str,
) -> Deployment:
    """Ask for the deployment as whoever started the run (`login` on the shell, outside GitHub), and note the review.

    The request is queued afterwards. Its number is the time in milliseconds, so that the numbers of many short-lived
    databases never meet in a server's journal.
    """
    if run is None:
        requester = shell_actor(login)
    else:
        requester = _person(review.requester if review else reviews.requester_of(run), Role.OPERATOR)
    why = f"{reason} ({run.url})" if run else reason
    number_from(int(time.time() * 1000))
    deployment = request_deployment(actor=requester, release=release, environment=environment, reason=why.strip())
    if review is not None:
        approve(actor=_person(review.reviewer, Role.APPROVER), deployment=deployment, comment=review.comment)
    return deployment


def number_from(first: int) -> None:
    """Have the next deployment of this job's database get the number `first`."""
    table = Deployment._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            raise InvalidRequest(
                "Deploying from a runner uses a SQLite database of its own.", hint="Unset DATABASE_URL."
            )
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
        cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, first - 1])


def _person(login: str, role: Role) -> Actor:
    """Somebody known by GitHub alone; the colon keeps the name apart from every account of a portal."""
    name = f"github:{login}"
    return Actor("user", name, frozenset({role}), person=name)
