"""A deployment silences what it makes its own bots' alerts say, and lifts the silence when it ends.

Alertmanager is asked by a thread of its own, in order, so that one that is away or slow holds no deployment up. A
silence ends by itself at the deployment's deadline, whatever becomes of the worker.
"""

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from django.utils import timezone

from deployments.core.alertmanager import alertmanager
from deployments.models import Deployment, Server
from engine.alertmanager import AlertmanagerError, AlertmanagerUnreachable, Matcher

logger = logging.getLogger(__name__)

EXPECTED = ("BotDown", "BotDisconnected", "BotRestarting", "HighResponseTime", "MetricsStale", "ServiceDown")
"""What a restart can look like. Error rates are not among them: a new release that fails is what alerts are for."""
LONGEST = timedelta(minutes=10)
"""A deployment's own deadline."""
A_RESTART = timedelta(minutes=3)
"""What a restart beside a deployment may take."""
STOPPED_FOR = timedelta(days=7)
"""How long the alerts of a stopped service are silenced: a service that is forgotten is told of again."""
AUTHOR = "ops-portal"


def begin(deployment: Deployment) -> "Future[None]":
    """Silence the expected alerts of the deployment's targets until it ends, or for `LONGEST`."""
    servers = [target.server.name for target in deployment.targets.select_related("server")]
    environment = str(deployment.environment)  # read here: a query of that thread would leave a connection open
    return _later(lambda: _silence(deployment.pk, environment, servers))


def end(deployment: Deployment) -> "Future[None]":
    """Lift them."""
    return _later(lambda: _lift(deployment.pk))


def expect_restart(server: Server) -> "Future[None]":
    """Silence what a restart beside a deployment can look like, for as long as one may take."""
    environment, name = str(server.environment), server.name
    return _later(lambda: _hush(environment, [name], A_RESTART, _restart_of(name)))


def keep_quiet(server: Server) -> "Future[None]":
    """Silence the alerts of a service that somebody stopped, until `speak_again` or for `STOPPED_FOR`."""
    environment, name = str(server.environment), server.name
    return _later(lambda: _hush(environment, [name], STOPPED_FOR, _stop_of(name)))


def speak_again(server: Server) -> "Future[None]":
    """Lift what was silenced because of a restart or a stop."""
    name = server.name
    return _later(lambda: _lift_those({_stop_of(name), _restart_of(name)}))


def _restart_of(name: str) -> str:
    return f"restart of {name}"


def _stop_of(name: str) -> str:
    return f"{name} is stopped"


def _silence(number: int, environment: str, servers: list[str]) -> None:
    _hush(environment, servers, LONGEST, _comment(number))


def _hush(environment: str, servers: list[str], length: timedelta, comment: str) -> None:
    now = timezone.now()
    alertmanager().create_silence(
        matchers=[
            Matcher("alertname", "|".join(EXPECTED), regex=True),
            Matcher("environment", environment),
            Matcher("server", "|".join(servers), regex=True),
        ],
        starts_at=now,
        ends_at=now + length,
        created_by=AUTHOR,
        comment=comment,
    )


def _lift(number: int) -> None:
    _lift_those({_comment(number)})


def _lift_those(comments: set[str]) -> None:
    for silence in alertmanager().silences():
        if silence.created_by == AUTHOR and silence.comment in comments and silence.state != "expired":
            alertmanager().expire_silence(silence.identifier)


def _comment(number: int) -> str:
    return f"deployment {number}"


def _later(work: Callable[[], None]) -> "Future[None]":
    return _EXECUTORS.here().submit(_quietly, work)


def _quietly(work: Callable[[], None]) -> None:
    try:
        work()
    except AlertmanagerUnreachable as error:
        logger.debug("no silence: %s", error.message)  # an installation without Alertmanager is a normal one
    except AlertmanagerError as error:
        logger.warning("no silence: %s", error.message)


class _Executors:
    """One thread per process: what a fork inherits is a thread that does not run."""

    def __init__(self) -> None:
        self._process = 0
        self._executor: ThreadPoolExecutor | None = None

    def here(self) -> ThreadPoolExecutor:
        if self._executor is None or self._process != os.getpid():
            self._executor, self._process = ThreadPoolExecutor(1, "silences"), os.getpid()
        return self._executor


_EXECUTORS = _Executors()
