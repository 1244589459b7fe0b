"""Moving this portal to a server with the role portal: exactly one of the two is in charge at every moment.

The old one holds still (`standing`), its sealed backup is restored over there, and what was started there has to prove
itself: it answers over TLS, its chain of events has the very event that was the last one here, and its head is the one
that the restore left. Only then the old one lets go for good and the new one takes charge. A failure before that stops
what was started there and leaves the old one as it was; so does a command that dies, within `LEASE`.
"""

import contextlib
import json
import logging
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from deployments.access.policy import require_role
from deployments.access.verbs import Verb
from deployments.audit import trail
from deployments.backup.backups import Backup, write_backup
from deployments.backup.portal_probe import Answer, ask_over_tls
from deployments.core import read_only
from deployments.core.actors import Actor
from deployments.core.sessions import open_bootstrap
from deployments.models import Deployment, Move, Server
from deployments.models.encryption import SecretText
from engine.commands import moving as commands
from engine.commands.proxying import portal_url
from engine.errors import Conflict, EnvironmentBusy, InvalidRequest, PortalError, TargetError
from engine.remote.bootstrap import Bootstrap
from engine.remote.sudo import run_as_root
from engine.ssh.errors import LinkLost, RemoteFailed
from engine.ssh.session import Session

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
RENEW_SECONDS = 10.0
REMOTE_SECONDS = 660.0
"""For one command on the server, longer than the server itself gives it."""
ANSWER_SECONDS = 60.0
"""What the portal that was started may take until it answers over TLS."""


@dataclass(frozen=True)
class Moved:
    """A portal that has moved. `head` is the last event here before it, `arrived` the last one there when it answered;
    `seconds` is how long nothing could be changed."""

    url: str
    head: str
    arrived: str
    rows: int
    seconds: float


def move_portal(*, actor: Actor, server: Server, bootstrap: Bootstrap, say: Callable[[str], None]) -> Moved:
    """Move this portal to `server`, which runs a release with the role already. Doing it again completes it.

    Raises NotAllowed, InvalidRequest, NotInCharge when it is elsewhere already, EnvironmentBusy while a deployment is
    active, SSHError and TargetError: then this portal is in charge as before.
    """
    check_ready(actor=actor, server=server)
    with open_bootstrap(server, bootstrap) as session:
        there = _There(session, server, sudo=bootstrap.sudo)
        gone = read_only.latest_move()
        if gone is not None and gone.state == Move.State.GONE and gone.host_key == server.host_key:
            say(f"This portal has let go already; {gone.url} takes charge.")
            there.take_charge()
            return Moved(gone.url, gone.head, there.answer().head, 0, 0.0)
        return _Transfer(actor, server, there, say).carry_out()


def check_ready(*, actor: Actor, server: Server) -> None:
    """Raise NotAllowed, or InvalidRequest unless the server was provisioned for the role."""
    require_role(actor, Verb.MOVE_PORTAL, server.environment)
    if "portal" not in server.roles or server.state != Server.State.PROVISIONED:
        raise InvalidRequest(
            f"{server.name} is no provisioned server with the role portal.",
            hint=f"`manage.py enroll {server.name} --role portal …`, then `manage.py provision {server.name}`.",
            reason="no_portal_server",
        )


def take_charge(*, actor: Actor) -> Move:
    """On the server: this portal, restored and proven, is in charge from now on. Doing it again changes nothing."""
    require_role(actor, Verb.MOVE_PORTAL)
    with transaction.atomic():
        move = read_only.latest_move()
        if move is None:
            raise Conflict("Nothing has moved here.", hint="`manage.py install_portal` is run where the portal is now.")
        if move.state == Move.State.ARRIVED:
            return move
        move.state, move.finished_at = Move.State.ARRIVED, timezone.now()
        move.save(update_fields=["state", "finished_at"])
        data = {"head": move.head, "url": move.url}
        trail.record(actor=actor, name="portal.arrived", subject=f"server:{move.server}", data=data)
    return move


class _There:
    """What is done on the server."""

    def __init__(self, session: Session, server: Server, *, sudo: bool) -> None:
        self._session = session
        self._server = server
        self._root = partial(run_as_root, session, sudo=sudo)

    def stop(self) -> None:
        """Nothing of the portal runs there any more."""
        self._root(commands.systemctl("stop"), deadline=REMOTE_SECONDS, what="stopping")

    def restore(self, backup: Backup, passphrase: SecretText) -> dict[str, Any]:
        """Bring the backup and make it that portal's state; what `restore` says."""
        with backup.path.open("rb") as file:
            blocks = iter(lambda: file.read(1 << 20), b"")
            command = commands.receive()
            self._root(command, stdin=blocks, deadline=REMOTE_SECONDS, what="bringing the backup")
        options = ["--replace", "--passphrase-file", "-", "--json"]
        restored: dict[str, Any] = json.loads(self._manage("restore", commands.ARRIVING, *options, stdin=passphrase))
        self._root(commands.forget(), what="removing the backup")
        return restored

    def start(self) -> None:
        """Web process and workers, on what was restored."""
        self._root(commands.systemctl("start"), deadline=REMOTE_SECONDS, what="starting")

    def verify(self, head: str) -> None:
        """Its whole chain is sound, and has the event that was our last one. Raises RemoteFailed."""
        self._manage("audit", "verify", "--head", head)

    def answer(self) -> Answer:
        """What it says of itself over the network, as anybody is told. Raises TargetError."""
        authority = self._root(commands.ca_certificate(), check=False).stdout.decode()
        return ask_over_tls(self._server.host, authority)

    def take_charge(self) -> None:
        """It is the portal from now on. A cut line does not tell whether it heard: it is asked until it answers."""
        for attempt in range(3):
            try:
                self._manage("install_portal", self._server.name, "--take-charge")
                return
            except LinkLost:
                if attempt == 2:
                    raise
                self._session.close()
                self._session.__enter__()  # on a line that is new

    def _manage(self, *arguments: str, stdin: str = "") -> str:
        command = commands.manage(self._server.environment.application, arguments)
        what = f"'manage.py {arguments[0]}'"
        done = self._root(command, stdin=stdin.encode(), deadline=REMOTE_SECONDS, what=what)
        return done.stdout.decode()


class _Transfer:
    """One move, from holding still to letting go."""

    def __init__(self, actor: Actor, server: Server, there: _There, say: Callable[[str], None]) -> None:
        self._actor = actor
        self._server = server
        self._there = there
        self._say = say

    def carry_out(self) -> Moved:
        """Raises what `move_portal` does; nothing has changed here then."""
        began = time.monotonic()
        move = self._hold_still()
        try:
            with _renewed(move):
                restored, answer = self._bring(move)
            self._let_go(move)
        except BaseException as error:  # also Ctrl-C: this portal stays, and what was begun there ends
            self._stay(move, error)
            raise
        try:
            self._there.take_charge()
        except RemoteFailed as error:
            self._stay(move, error)
            raise
        except LinkLost as error:
            raise TargetError(
                f"This portal has let go, and {self._server.name} may not have heard that it is in charge.",
                hint=f"Run `manage.py install_portal {self._server.name}` again: it completes the move.",
                permanent=False,
            ) from error
        self._say(f"{move.url} is in charge.")
        return Moved(move.url, move.head, answer.head, int(restored["rows"]), round(time.monotonic() - began, 1))

    def _hold_still(self) -> Move:
        url = portal_url(self._server.host)
        with transaction.atomic():
            if active := Deployment.objects.active().select_related("environment").first():
                raise EnvironmentBusy(
                    f"Deployment {active.pk} of {active.environment} is active; a portal moves when nothing does.",
                    hint=f"Wait for it, or cancel it with `manage.py cancel {active.pk}`.",
                )
            data = {"url": url, "host": self._server.host}
            trail.record(actor=self._actor, name="portal.move_began", subject=f"server:{self._server.name}", data=data)
            move = Move.objects.create(
                server=self._server.name,
                url=url,
                host_key=self._server.host_key,
                head=str(trail.head()),
                started_by=str(self._actor),
                until=timezone.now() + LEASE,
            )
        self._say(f"Nothing can be changed here now; the last event is {move.head[:20]}….")
        return move

    def _bring(self, move: Move) -> tuple[dict[str, Any], Answer]:
        passphrase = SecretText(secrets.token_urlsafe(32))
        with tempfile.TemporaryDirectory(dir=settings.STATE_DIR, prefix="move-") as scratch:
            backup = write_backup(directory=Path(scratch), passphrase=passphrase)
            self._say(f"Sealed: {backup.rows} rows, {backup.artifacts} artifacts, {backup.size / 1e6:.1f} MB.")
            self._there.stop()
            restored = self._there.restore(backup, passphrase)
        if backup.head != move.head:
            raise TargetError("An event was written while nothing could be changed.", hint="Try again.")
        self._there.verify(move.head)
        self._there.start()
        self._say(f"Restored on {self._server.name}; waiting for it to answer.")
        return restored, self._proven(str(restored["head"]))

    def _proven(self, head: str) -> Answer:
        release = self._server.current_release
        ends = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                answer = self._there.answer()
                if (answer.head, answer.release) == (head, release.identifier if release else ""):
                    return answer
                why = f"it says release {answer.release or 'none'} and head {answer.head or 'none'}"
            except TargetError as error:
                why = error.message
            if time.monotonic() > ends:
                raise TargetError(
                    f"The portal on {self._server.name} did not prove itself: {why}.",
                    hint="Look there: journalctl -u cytube-web -u cytube-worker -u caddy.",
                )
            time.sleep(0.5)

    def _let_go(self, move: Move) -> None:
        with transaction.atomic():
            rows = Move.objects.filter(pk=move.pk, state=Move.State.UNDER_WAY, until__gt=timezone.now())
            if not rows.update(state=Move.State.GONE, finished_at=timezone.now()):
                raise Conflict("The move took too long and was given up.", hint="Try again.")
            data = {"url": move.url, "head": move.head}
            trail.record(actor=self._actor, name="portal.moved", subject=f"server:{move.server}", data=data)

    def _stay(self, move: Move, error: BaseException) -> None:
        with contextlib.suppress(PortalError):  # unreachable: what runs there is in charge of nothing
            self._there.stop()
        with transaction.atomic():
            Move.objects.filter(pk=move.pk).delete()
            data = {"why": str(error)[:500] or type(error).__name__}
            trail.record(actor=self._actor, name="portal.move_failed", subject=f"server:{move.server}", data=data)
        self._say("This portal is in charge as before.")


@contextlib.contextmanager
def _renewed(move: Move) -> Iterator[None]:
    """Keep a move from being over as long as this process lives."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_SECONDS):
            try:
                Move.objects.filter(pk=move.pk).update(until=timezone.now() + LEASE)
            except DatabaseError:
                logger.exception("the move of this portal could not be prolonged")
            finally:
                connection.close()

    thread = threading.Thread(target=renew, name="move", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
