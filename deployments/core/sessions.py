"""Opening a session to a server as its record, or a snapshot of it, says.

Sessions for deployments are kept warm for a while: connecting costs six round trips and most of the time that a
redeployment takes beyond the restart itself (measured: 0.33 s of 1.4 s at 50 ms).
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from deployments.core.masking import Mask
from deployments.core.retrying import retry
from deployments.models import Environment, Server
from deployments.snapshot import SealedTarget
from engine.errors import InvalidRequest
from engine.remote.bootstrap import Bootstrap
from engine.ssh.address import Address, JumpHost
from engine.ssh.errors import SSHError
from engine.ssh.keys import HostKey, PrivateKey
from engine.ssh.session import Session

KEEP_SECONDS = 300.0
"""How long an idle session is kept; shorter than what firewalls usually forget connections after."""


def private_key_of(environment: Environment) -> PrivateKey:
    """The environment's deployment key as it is now: a rotation may have come since the row was read.

    Raises InvalidRequest when none was made yet.
    """
    text = retry(lambda: Environment.objects.values_list("private_key", flat=True).get(pk=environment.pk))
    if not text:
        raise InvalidRequest(f"{environment} has no SSH key yet.", hint="`manage.py enroll` makes one.")
    return PrivateKey(text)


def address_of(place: Server | SealedTarget) -> Address:
    """Where the server is, and by which way it is reached: by its record, or as a snapshot sealed it."""
    jump = JumpHost.parse(place.jump).proven(HostKey.parse(place.jump_host_key)) if place.jump else None
    return Address(place.host, place.port, place.user, HostKey.parse(place.host_key), jump)


@contextlib.contextmanager
def open_bootstrap(server: Server, bootstrap: Bootstrap) -> Iterator[Session]:
    """A session as the account that may become root. What the server says in errors is masked."""
    jump_key = private_key_of(server.environment) if server.jump else None
    with masked(server.environment_id), bootstrap.session(address_of(server), jump_key) as session:
        yield session


@contextlib.contextmanager
def open_session(server: Server) -> Iterator[Session]:
    """A session of its own as the deployment user. What the server says in errors is masked."""
    with masked(server.environment_id), Session(address_of(server), private_key_of(server.environment)) as session:
        yield session


@contextlib.contextmanager
def open_target(environment: Environment, target: SealedTarget) -> Iterator[Session]:
    """A session to a target as the snapshot sealed it: address and host key of the request, nothing newer.

    It may be one that an earlier deployment left open, and is left open for the next one unless something went wrong.
    """
    address = address_of(target)
    key = private_key_of(environment)
    place = (address, key.fingerprint)
    warm = _WARM.take(place)
    session = warm or Session(address, key)
    try:
        with masked(environment.pk):
            if warm is None:
                session.__enter__()
            yield session
    except BaseException:
        session.close()
        raise
    _WARM.keep(place, session)


@contextlib.contextmanager
def masked(environment_id: int) -> Iterator[None]:
    """No sentence about a server repeats a secret that the server said."""
    try:
        yield
    except SSHError as error:
        mask = retry(lambda: Mask.for_environment(environment_id))
        error.message = mask.cut_off(error.message)
        raise


_Place = tuple[Address, str]
"""Where a session leads, and the fingerprint of the key that opened it."""


class _WarmSessions:
    """At most one idle session per server and key, of this process only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[_Place, tuple[Session, float]] = {}
        self._process = os.getpid()

    def take(self, place: _Place) -> Session | None:
        """An idle session that still answers, or None."""
        with self._lock:
            self._forget_old()
            session, _ = self._idle.pop(place, (None, 0.0))
        if session is None:
            return None
        try:
            session.probe()
        except SSHError:
            session.close()
            return None
        return session

    def keep(self, place: _Place, session: Session) -> None:
        """Leave a session for the next one who asks."""
        if not session.alive:
            return
        with self._lock:
            self._forget_old()
            replaced, _ = self._idle.pop(place, (None, 0.0))
            self._idle[place] = (session, time.monotonic())
        if replaced is not None:
            replaced.close()

    def _forget_old(self) -> None:
        if self._process != os.getpid():  # forked: the sockets belong to the parent
            self._idle, self._process = {}, os.getpid()
        for name, (session, since) in list(self._idle.items()):
            if time.monotonic() - since > KEEP_SECONDS:
                del self._idle[name]
                session.close()


_WARM = _WarmSessions()
