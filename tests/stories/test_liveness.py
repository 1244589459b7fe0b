"""A cluster that is alive and does nothing is found; one that is at work, or was only just started, is left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from django_q.tasks import async_task

from deployments.core import beats, queueing
from deployments.core.beats import SILENT_AFTER
from deployments.execution.liveness import stalled
from deployments.models import ClusterBeat
from portal.run import Child, Watchdog
from tests.stories.running import wait_for

LONG_AGO = timedelta(hours=1)
SILENT = SILENT_AFTER.total_seconds()


def heard(cluster: str, seconds_ago: float, machine: str = "") -> None:
    """A worker of the cluster, on this machine without a name, was at work so long ago."""
    at = timezone.now() - timedelta(seconds=seconds_ago)
    ClusterBeat.objects.update_or_create(machine=machine or beats.machine(), cluster=cluster, defaults={"at": at})


@pytest.mark.django_db
class TestDiagnosis:
    """What is called stalled."""

    def test_a_cluster_that_beats_is_well(self) -> None:
        heard("rescue", 40)
        assert stalled("rescue", since=timezone.now() - LONG_AGO) is None

    def test_one_that_has_just_been_started_gets_its_time(self) -> None:
        assert stalled("rescue", since=timezone.now() - timedelta(seconds=SILENT - 20)) is None

    def test_silence_is_a_stall(self) -> None:
        heard("rescue", SILENT + 30)
        assert "none of its workers" in str(stalled("rescue", since=timezone.now() - LONG_AGO))

    def test_another_machines_heartbeats_hide_nothing(self) -> None:
        heard("rescue", SILENT + 30)
        heard("rescue", 1, machine="ops-2")
        heard("deploys", 1)
        assert "none of its workers" in str(stalled("rescue", since=timezone.now() - LONG_AGO))

    def test_every_cluster_has_its_heartbeat_and_old_ones_are_forgotten(self) -> None:
        wanted = {(f"beat-{cluster}", cluster) for cluster in queueing.CLUSTERS}
        assert wanted <= set(Schedule.objects.values_list("name", "cluster"))
        for seconds in (300, 200, 100):
            at = timezone.now() - timedelta(seconds=seconds)
            Task.objects.create(id=f"{seconds}", name="x", func="x", group="beat-rescue", started=at, stopped=at)
        queueing.forget_old_beats()
        assert Task.objects.filter(group="beat-rescue").count() == 1


def database_url() -> str:
    """Of this test's own database."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[Child]:
    """A real cluster of this machine on this test's database."""
    settings.STATE_DIR = tmp_path
    child = Child(
        "cluster rescue",
        [sys.executable, "manage.py", "qcluster"],
        {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PORTAL_STATE_DIR": str(tmp_path),
            "PORTAL_SECRET_KEY": settings.SECRET_KEY,
            "PORTAL_ENCRYPTION_KEYS": ",".join(settings.ENCRYPTION_KEYS),
            "DATABASE_URL": database_url(),
            "Q_CLUSTER_NAME": "rescue",
        },
        cluster="rescue",
    )
    child.start()
    yield child
    child.kill()


def workers(child: Child) -> list[int]:
    """Every process of a cluster but the main one."""
    assert child.process is not None
    found = subprocess.run(["pgrep", "-g", str(child.process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split() if int(pid) != child.process.pid]


def test_a_cluster_whose_idle_workers_were_killed_is_started_again_and_works(cluster: Child) -> None:
    watchdog = Watchdog([cluster])
    queueing.ask_to_beat("rescue")
    wait_for(lambda: beats.last("rescue"), "the cluster to work")
    assert cluster.process is not None
    first = cluster.process.pid
    with transaction.atomic():  # in which none of them holds the database
        heard("rescue", SILENT + 60)
        heard("rescue", 0, machine="ops-2")
        for pid in workers(cluster):
            os.kill(pid, signal.SIGSTOP)  # alive, and it does nothing any more
    cluster.started = time.monotonic() - SILENT - 60
    watchdog._next = 0.0
    watchdog.look()
    assert cluster.process.pid != first
    wait_for(lambda: stalled("rescue", since=timezone.now() - LONG_AGO) is None, "the cluster to work again")


def test_a_cluster_leaves_other_machines_tasks_where_they_are(cluster: Child) -> None:
    async_task(queueing.BEAT, cluster="rescue@ops-2")
    queueing.ask_to_beat("rescue")
    wait_for(lambda: beats.last("rescue"), "the cluster to take its own")
    wait_for(lambda: not OrmQ.objects.filter(key__endswith=beats.machine()).exists(), "its own to be gone")
    assert [row.key for row in OrmQ.objects.filter(key__contains="@")] == ["rescue@ops-2"]
    assert queueing.oldest_queued_seconds() == 0.0


def test_without_a_database_nobody_is_silent(cluster: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster.process is not None
    heard("rescue", SILENT + 60)
    cluster.started = time.monotonic() - SILENT - 60
    watchdog, first = Watchdog([cluster]), cluster.process.pid

    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
        watchdog._next = 0.0
        watchdog.look()
    watchdog._next = 0.0
    watchdog.look()  # it has come back, and nobody could say anything meanwhile
    assert cluster.process.pid == first


def test_a_cluster_whose_main_process_was_killed_is_started_again_without_leaving_the_rest(cluster: Child) -> None:
    wait_for(lambda: len(workers(cluster)) >= 4, "the cluster to be complete")
    assert cluster.process is not None
    rest = workers(cluster)
    cluster.process.kill()
    cluster.process.wait()
    cluster.started = time.monotonic() - 60
    cluster.tend()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in rest), "the old processes to be gone")
    assert cluster.process.poll() is None
