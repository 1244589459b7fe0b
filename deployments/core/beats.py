"""Which clusters of workers live, on which machine of the portal, by the database's clock.

A cluster lives whose workers do tasks: one whose idle workers were killed looks alive and never runs a task again. So
each has a heartbeat task to do, and while a worker is at a long task, it says from time to time that it still is:
work under way is never taken for a stall.
"""

import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from deployments.models import ClusterBeat

logger = logging.getLogger(__name__)

SILENT_AFTER = timedelta(seconds=180)
"""A cluster that was not heard for so long has stalled: a heartbeat task is due every minute."""
KEPT = timedelta(days=1)
"""How long a machine that went without saying so is still told of."""
AT_WORK_SECONDS = 20.0
_MACHINE_ID = Path("/etc/machine-id")


def machine() -> str:
    """This machine's name: its host name, and what tells it from others of that name and portals beside this one."""
    return _name(settings.STATE_DIR)


@lru_cache(maxsize=4)
def _name(state_dir: Path) -> str:
    with suppress(OSError):
        return f"{socket.gethostname()}-{_digest(f'{_MACHINE_ID.read_text().strip()}:{state_dir}')}"
    return f"{socket.gethostname()}-{_digest(str(state_dir))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def beat(cluster: str) -> None:
    """A worker of this machine's cluster is at work now."""
    row, now = {"machine": machine(), "cluster": cluster}, timezone.now()
    if not ClusterBeat.objects.filter(**row).update(at=now):
        ClusterBeat.objects.get_or_create(**row, defaults={"at": now})


@contextmanager
def while_at_work(cluster: str) -> Iterator[None]:
    """As long as this lasts the cluster is heard, every `AT_WORK_SECONDS`."""
    over = threading.Event()
    threading.Thread(target=_go_on, args=(cluster, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _go_on(cluster: str, over: threading.Event) -> None:
    while not over.wait(AT_WORK_SECONDS):
        try:
            beat(cluster)
        except DatabaseError as error:  # the next one may reach it
            logger.warning("the cluster %s is at work and cannot say so: %s", cluster, error)
        finally:
            connection.close()


def last(cluster: str) -> datetime | None:
    """When this machine's cluster was last heard; None before its first time."""
    return ClusterBeat.objects.filter(machine=machine(), cluster=cluster).values_list("at", flat=True).first()


@dataclass(frozen=True)
class Cluster:
    """One cluster of one machine that is to be there."""

    name: str
    machine: str
    silent_seconds: float

    @property
    def silent(self) -> bool:
        """Whether it has stalled, or its machine has died."""
        return self.silent_seconds > SILENT_AFTER.total_seconds()


def clusters(now: datetime) -> list[Cluster]:
    """All of them. One question to the database."""
    rows = ClusterBeat.objects.values_list("cluster", "machine", "at")
    return [Cluster(name, machine, max(0.0, (now - at).total_seconds())) for name, machine, at in rows]


def begin() -> None:
    """This machine's clusters were started just now: what they did not say before, while it was off, nobody misses."""
    ClusterBeat.objects.filter(machine=machine()).update(at=timezone.now())


def sign_off() -> None:
    """This machine's clusters have ended in order: nobody misses them."""
    ClusterBeat.objects.filter(machine=machine()).delete()


def forget_gone() -> None:
    """Stop telling of clusters that went a day ago without saying so."""
    ClusterBeat.objects.filter(at__lt=timezone.now() - KEPT).delete()
