"""Replacing an environment's SSH key, with overlap: at every moment a key works that the portal holds.

The steps are on the environment's record, so that running it again goes on from wherever it was ended:
`next_*` a new pair that is being let in and proven, `previous_public_key` the one before, until no server has it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import transaction

from deployments.access.policy import require
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.core.actors import Actor
from deployments.core.row_locks import locked_environment
from deployments.core.sessions import address_of, masked, open_session
from deployments.environments.guards import refuse_busy
from deployments.models import Environment, Server
from engine.commands.authorized_keys import CHANGED, let_in_command, take_out_command
from engine.commands.remote_command import RemoteCommand
from engine.errors import Conflict, InvalidRequest, PortalError, TargetError
from engine.ssh.keys import PrivateKey, generate_key
from engine.ssh.session import Session

_PROOF = RemoteCommand(("true",))


@dataclass(frozen=True)
class Rotation:
    """The key in use now (public line and fingerprint), and the servers it opens."""

    public_key: str
    fingerprint: str
    servers: list[str]


def rotate_keys(*, actor: Actor, environment: Environment, tell: Callable[[str], None] = lambda _: None) -> Rotation:
    """Replace the environment's key by a new pair; `tell` gets a sentence for each server.

    The new key is let in beside the old one and has to open every provisioned server before it becomes the key; only
    then is the old one taken out. A server that cannot be reached leaves both keys in force: TargetError, and running
    it again finishes. Raises NotAllowed, EnvironmentBusy, InvalidRequest when there is no key yet.
    """
    require(actor, Verb.ROTATE_KEYS, environment)
    _begin(actor, environment)
    if environment.next_public_key:
        proven = _on_every_server(environment, lambda server: _let_in(actor, environment, server, tell), _NOT_LET_IN)
        _switch(actor, environment, proven)
    if environment.previous_public_key:
        _on_every_server(environment, lambda server: _take_out(actor, environment, server, tell), _NOT_TAKEN_OUT)
        _end(actor, environment)
    servers = [server.name for server in _provisioned(environment)]
    return Rotation(environment.public_key, PrivateKey(environment.private_key).fingerprint, servers)


def _begin(actor: Actor, environment: Environment) -> None:
    """Make the new pair and keep it before any server hears of it; an unfinished rotation is gone on with."""
    with transaction.atomic():
        locked = locked_environment(environment.pk)
        refuse_busy(locked)
        if not locked.private_key:
            raise InvalidRequest(f"{environment} has no SSH key yet.", hint="`manage.py enroll` makes one.")
        if not locked.next_public_key and not locked.previous_public_key:
            locked.next_private_key, locked.next_public_key = generate_key(f"portal-{environment.name}")
            locked.save(update_fields=["next_private_key", "next_public_key"])
            _record(actor, locked, "key.made", public_key=locked.next_public_key, beside=locked.public_key)
    environment.refresh_from_db()


def _let_in(actor: Actor, environment: Environment, server: Server, tell: Callable[[str], None]) -> None:
    """Add the new key with the old one, then sign in with the new one: nothing else proves that it works."""
    with open_session(server) as session:
        done = session.run(let_in_command(environment.next_public_key), what="letting the new key in")
    new = PrivateKey(environment.next_private_key)
    with masked(server.environment_id), Session(address_of(server), new) as session:
        session.run(_PROOF, what="signing in with the new key")
    if done.stdout == CHANGED:
        _record_on(actor, server, "key.let_in", environment.next_public_key)
    tell(f"{server.name}: the new key is let in, and was proven by signing in with it.")


def _switch(actor: Actor, environment: Environment, proven: list[str]) -> None:
    """The proven key becomes the environment's; whoever connects from now on uses it."""
    with transaction.atomic():
        locked = locked_environment(environment.pk)
        if locked.next_public_key != environment.next_public_key:
            environment.refresh_from_db()
            return  # somebody else finished it meanwhile
        if new := [server.name for server in _provisioned(locked) if server.name not in proven]:
            raise Conflict(
                f"{', '.join(new)} was provisioned meanwhile, and the new key is not proven there.",
                hint=f"Run `manage.py rotate_keys {environment}` again.",
            )
        before = locked.public_key
        locked.private_key, locked.public_key = locked.next_private_key, locked.next_public_key
        locked.next_private_key, locked.next_public_key = "", ""
        locked.previous_public_key = before
        locked.save(
            update_fields=["private_key", "public_key", "next_private_key", "next_public_key", "previous_public_key"]
        )
        _record(actor, locked, "key.rotated", before=before, public_key=locked.public_key)
    environment.refresh_from_db()


def _take_out(actor: Actor, environment: Environment, server: Server, tell: Callable[[str], None]) -> None:
    with open_session(server) as session:
        done = session.run(take_out_command(environment.previous_public_key), what="taking the old key out")
    if done.stdout == CHANGED:
        _record_on(actor, server, "key.taken_out", environment.previous_public_key)
    tell(f"{server.name}: the old key no longer opens it.")


def _end(actor: Actor, environment: Environment) -> None:
    with transaction.atomic():
        locked = locked_environment(environment.pk)
        if locked.previous_public_key == environment.previous_public_key:
            locked.previous_public_key = ""
            locked.save(update_fields=["previous_public_key"])
            _record(actor, locked, "key.retired", public_key=environment.previous_public_key)
    environment.refresh_from_db()


_NOT_LET_IN = (
    "The new key does not open every server of {environment} yet, so the old one stays in force on all of them",
    "key_overlap",
)
_NOT_TAKEN_OUT = (
    "The new key is in force on every server of {environment}, but the old one still opens some of them",
    "old_key_left",
)


def _on_every_server(environment: Environment, work: Callable[[Server], None], otherwise: tuple[str, str]) -> list[str]:
    """Do it wherever it can be done; returns where, or raises TargetError naming the servers where it could not."""
    done, failures = [], []
    for server in _provisioned(environment):
        try:
            work(server)
            done.append(server.name)
        except PortalError as error:
            failures.append(f"{server.name} ({error.message.rstrip('.')})")
    if failures:
        sentence, reason = otherwise
        raise TargetError(
            f"{sentence.format(environment=environment)}: {'; '.join(failures)}.",
            hint=f"Run `manage.py rotate_keys {environment}` again when they answer, or decommission them.",
            reason=reason,
            permanent=False,
        )
    return done


def _provisioned(environment: Environment) -> Iterable[Server]:
    return environment.servers.filter(state=Server.State.PROVISIONED).select_related("environment")


def _record(actor: Actor, environment: Environment, name: str, **data: str) -> None:
    trail.record(actor=actor, name=name, subject=f"environment:{environment}", environment=environment, data=data)


def _record_on(actor: Actor, server: Server, name: str, public_key: str) -> None:
    trail.record_alone(
        actor=actor,
        name=name,
        subject=f"server:{server.name}",
        environment=server.environment,
        public_key=public_key,
    )
