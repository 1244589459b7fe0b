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
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task

from deployments.core import queueing
from deployments.execution.liveness import BEAT_SECONDS, QUEUED_SECONDS, stalled
from deployments.lifecycle import Status
from deployments.models import Deployment, Environment
from portal.run import Child, Watchdog
from tests.stories.running import wait_for

LONG_AGO = timedelta(hours=1)


def beat(cluster: str, seconds_ago: float) -> None:
    """A heartbeat task that a worker of the cluster did so long ago."""
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Task.objects.create(
        id=f"{cluster}-{seconds_ago}", name="beat", func="x", group=f"beat-{cluster}", started=at, stopped=at
    )


@pytest.mark.django_db
class TestDiagnosis:
    """What is called stalled."""

    def test_a_cluster_that_beats_is_well(self) -> None:
        beat("rescue", 40)
        assert stalled("rescue", since=timezone.now() - LONG_AGO) is None

    def test_one_that_has_just_been_started_gets_its_time(self) -> None:
        assert stalled("rescue", since=timezone.now() - timedelta(seconds=BEAT_SECONDS - 20)) is None

    def test_silence_is_a_stall(self) -> None:
        beat("rescue", BEAT_SECONDS + 30)
        assert "none of its workers" in str(stalled("rescue", since=timezone.now() - LONG_AGO))

    def test_a_task_that_nobody_takes_is_a_stall(self) -> None:
        beat("rescue", 5)
        queueing.enqueue_cancellation(1)
        OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=QUEUED_SECONDS + 30))
        assert "has been waiting" in str(stalled("rescue", since=timezone.now() - LONG_AGO))
        assert stalled("deploys", since=timezone.now() - timedelta(seconds=5)) is None

    def test_a_long_deployment_is_not_cut_off(self, make_release: Any) -> None:
        beat("deploys", 500)
        running = Deployment.objects.create(
            environment=Environment.objects.get(name="test"),
            release=make_release("1.0.0"),
            status=Status.RUNNING,
            requested_by="tests",
            seal="0" * 64,
            lease_until=timezone.now() + timedelta(seconds=20),
        )
        assert stalled("deploys", since=timezone.now() - LONG_AGO) is None
        Deployment.objects.filter(pk=running.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        assert stalled("deploys", since=timezone.now() - LONG_AGO)

    def test_every_cluster_has_its_heartbeat_and_old_ones_are_forgotten(self) -> None:
        wanted = {(f"beat-{cluster}", cluster) for cluster in queueing.CLUSTERS}
        assert wanted <= set(Schedule.objects.values_list("name", "cluster"))
        for seconds in (300, 200, 100):
            beat("rescue", seconds)
        queueing.forget_old_beats()
        assert Task.objects.filter(group="beat-rescue").count() == 1


def database_url() -> str:
    """Of this test's own database."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[Child]:
    """A real cluster on this test's database."""
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


def done(group: str) -> bool:
    """Whether a task of this group has been done."""
    return bool(Task.objects.filter(group=group).exists())


def test_a_cluster_whose_idle_workers_were_killed_is_started_again_and_works(cluster: Child) -> None:
    from django_q.tasks import async_task

    async_task("deployments.tasks.beat", cluster="rescue", group="before")
    wait_for(lambda: done("before"), "the cluster to work")
    assert cluster.process is not None
    first = cluster.process.pid
    for pid in workers(cluster):
        os.kill(pid, signal.SIGSTOP)  # alive, and it does nothing any more
    beat("rescue", BEAT_SECONDS + 60)
    cluster.started = time.monotonic() - BEAT_SECONDS - 60
    watchdog = Watchdog([cluster])
    watchdog._next = 0.0
    watchdog.look()
    assert cluster.process.pid != first
    async_task("deployments.tasks.beat", cluster="rescue", group="after")
    wait_for(lambda: done("after"), "the cluster to work again")


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
