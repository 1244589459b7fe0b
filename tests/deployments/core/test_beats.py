"""Which clusters live, on which machine: what is said, heard, and forgotten."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q import worker
from django_q.models import OrmQ

from deployments import tasks
from deployments.core import beats, queueing
from deployments.models import ClusterBeat
from portal.run import Watchdog
from tests.stories.running import wait_for


def row(machine: str, cluster: str = "rescue", ago: timedelta = timedelta(0)) -> ClusterBeat:
    return ClusterBeat.objects.create(machine=machine, cluster=cluster, at=timezone.now() - ago)


def test_portals_on_machines_of_one_name_are_told_apart(tmp_path: Path, settings: Any) -> None:
    names = set()
    for place in ("one", "two"):
        settings.STATE_DIR = tmp_path / place
        names |= {beats.machine()}
        assert beats.machine() in names
    assert len(names) == 2


@pytest.mark.django_db
def test_a_heartbeat_is_of_this_machine_and_its_cluster_alone() -> None:
    other = row("ops-2", ago=timedelta(minutes=2))
    beats.beat("rescue")
    beats.beat("rescue")
    assert {(one.machine, one.cluster) for one in ClusterBeat.objects.all()} == {
        ("ops-2", "rescue"),
        (beats.machine(), "rescue"),
    }
    assert beats.last("deploys") is None
    assert ClusterBeat.objects.get(machine="ops-2").at == other.at


@pytest.mark.django_db
def test_only_whose_silence_is_long_is_silent() -> None:
    row("ops-1", ago=beats.SILENT_AFTER - timedelta(seconds=20))
    row("ops-2", ago=beats.SILENT_AFTER + timedelta(seconds=20))
    assert [(one.machine, one.silent) for one in beats.clusters(timezone.now())] == [("ops-1", False), ("ops-2", True)]


@pytest.mark.django_db
def test_what_a_machine_did_not_say_while_it_was_off_nobody_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves the beats of before it: Prometheus reads them before a cluster has done its first task."""
    row(beats.machine(), ago=timedelta(hours=3))
    row("ops-2", ago=timedelta(hours=3))
    monkeypatch.setattr(connection, "close", lambda: None)  # of the test, which goes on with it
    Watchdog([])
    assert {one.machine: one.silent for one in beats.clusters(timezone.now())} == {
        beats.machine(): False,
        "ops-2": True,
    }
    beats.sign_off()
    Watchdog([])
    assert [one.machine for one in beats.clusters(timezone.now())] == ["ops-2"], "nobody misses what was never heard"


@pytest.mark.django_db
def test_a_machine_is_asked_only_when_others_may_have_done_all_heartbeats() -> None:
    beats.beat("rescue")
    queueing.ask_to_beat("rescue")
    assert not OrmQ.objects.exists()
    ClusterBeat.objects.update(at=timezone.now() - queueing.ASKED_AFTER - timedelta(seconds=1))
    for _ in range(3):
        queueing.ask_to_beat("rescue")
    assert [one.key for one in OrmQ.objects.all()] == [f"rescue@{beats.machine()}"]


@pytest.mark.django_db
def test_who_ends_in_order_is_not_missed_and_the_dead_are_forgotten_after_a_day() -> None:
    row("ops-2")
    row("gone", ago=beats.KEPT + timedelta(minutes=1))
    queueing.ask_to_beat("rescue")
    beats.beat("rescue")
    queueing.sign_off()
    assert not OrmQ.objects.exists()
    queueing.beat()
    assert {one.machine for one in ClusterBeat.objects.all()} == {"ops-2", beats.machine()}


@pytest.mark.django_db(transaction=True)
def test_a_worker_at_a_long_task_is_heard_all_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    going, enough = threading.Event(), threading.Event()

    def long() -> str:
        going.set()
        return "ended" if enough.wait(60) else "never told"

    long.__module__ = "deployments.tasks"
    monkeypatch.setattr(tasks, "long", long, raising=False)
    monkeypatch.setattr(beats, "AT_WORK_SECONDS", 0.05)
    said: list[str] = []
    task = threading.Thread(target=lambda: said.append(worker.pydoc.locate("deployments.tasks.long")()))
    task.start()
    try:
        assert going.wait(30)
        wait_for(lambda: beats.last("default"), "it to be heard")
        first = beats.last("default")
        wait_for(lambda: beats.last("default") != first, "it to be heard again")
    finally:
        enough.set()
        task.join(30)
    assert said == ["ended"]
