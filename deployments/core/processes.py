"""Which process has something in hand, and whether that one lives: seen on its machine, heard by all others."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import DatabaseError, connection
from django.utils import timezone

from deployments.core import beats
from deployments.models import Operation
from engine.errors import Conflict

logger = logging.getLogger(__name__)
HEARD_SECONDS = 20.0
SILENT_AFTER = timedelta(seconds=90)
"""A process of another machine that was not heard for so long is not known to live."""


def this_process() -> str:
    """Its machine and number."""
    return f"{beats.machine()}:{os.getpid()}"


def has_ended(name: str) -> bool:
    """Whether the process of this name was of this machine, and is no more; False where nobody can tell."""
    return _seen(name) is False


def lives(row: Operation) -> bool:
    """Whether the process that carries it out is known to live: it is there on this machine, or was heard lately."""
    seen = _seen(row.worker)
    if row.state != Operation.State.RUNNING or seen is not None:
        return bool(seen) and row.state == Operation.State.RUNNING
    heard = row.heard_at or row.started_at
    return heard is not None and timezone.now() - heard < SILENT_AFTER


def silence(row: Operation) -> str:
    """Of a provisioning whose process is not known to live: since when, and who may end it; empty otherwise."""
    if row.kind != Operation.Kind.PROVISION or row.state != Operation.State.RUNNING or lives(row):
        return ""
    heard = row.heard_at or row.started_at
    since = f"has not been heard since {heard:%H:%M} UTC" if heard and not has_ended(row.worker) else "has ended"
    command = f"`manage.py provision {row.server.name} --end`"
    return f"Its process {since}: where nothing is at work any more, {command} or End on its page lets others begin."


@contextmanager
def at_work(row: Operation) -> Iterator[Callable[[], None]]:
    """As long as this lasts the process is heard; what it yields raises Conflict once somebody has ended the row."""
    over, ended = threading.Event(), threading.Event()

    def refuse_ended() -> None:
        if ended.is_set():
            raise Conflict(f"{row} was ended by somebody: no more is done of it.", reason="ended_meanwhile")

    threading.Thread(target=_go_on, args=(row.pk, over, ended), daemon=True).start()
    try:
        yield refuse_ended
    finally:
        over.set()


def _go_on(number: int, over: threading.Event, ended: threading.Event) -> None:
    while not ended.is_set() and not over.wait(HEARD_SECONDS):
        try:
            running = Operation.objects.filter(pk=number, state=Operation.State.RUNNING)
            if not running.update(heard_at=timezone.now()):
                ended.set()
        except DatabaseError as error:  # the next one may reach it
            logger.warning("operation %s is at work and cannot say so: %s", number, error)
        finally:
            connection.close()


def _seen(name: str) -> bool | None:
    """Whether a process of this machine is there; None of one of another machine."""
    machine, _, number = name.rpartition(":")
    if machine != beats.machine() or not number.isdecimal():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another account's
        pass
    return True
