"""Fifty servers in batches of ten, a portal of two machines, four workers of which two are killed on the way.

Whoever dies, each server ends verified or as it was before, nothing is begun there twice, and the record says so. The
servers are played and the portal is not: PostgreSQL, two state directories, task clusters as production starts them.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from deployments.audit import trail
from deployments.execution import reaper
from deployments.lifecycle import Status, TargetStatus
from deployments.models import AuditEvent, Deployment, Environment
from portal.run import Child
from tests.deployments.execution.conftest import UNIT, Scene
from tests.fixtures.journals import untruths
from tests.fixtures.processes import environment_of

pytestmark = [pytest.mark.full, pytest.mark.postgres]
SERVERS, BATCH = 50, 10
MOST_MB = 200
JOURNAL = ".deploy/journal.jsonl"
AS_BEFORE = (TargetStatus.REVERTED, TargetStatus.SKIPPED, TargetStatus.FAILED)
Machines = dict[str, list[Child]]


@pytest.fixture
def machines(scene: Scene, tmp_path: Path, settings: Any) -> Iterator[Machines]:
    """Two of one portal: each with the two workers for deployments, and those that settle what others left."""
    if connection.vendor != "postgresql":
        pytest.skip("several machines need PostgreSQL")
    found: Machines = {}
    for name in ("machine-1", "machine-2"):
        home = tmp_path / name
        home.mkdir()
        (home / "artifacts").symlink_to(settings.MEDIA_ROOT)
        given = {**environment_of(home), "MALLOC_ARENA_MAX": "2"}  # as `portal.run` starts them
        command = [sys.executable, "manage.py", "qcluster"]
        clusters = ("deploys", "rescue")
        found[name] = [Child(name, command, {**given, "Q_CLUSTER_NAME": each}, cluster=each) for each in clusters]
    for child in _all(found):
        child.start()
    yield found
    for child in _all(found):
        child.kill()


def _all(machines: Machines) -> list[Child]:
    return [child for children in machines.values() for child in children]


def test_whoever_dies_each_server_is_verified_or_as_before_and_none_is_begun_twice(
    scene: Scene, machines: Machines
) -> None:
    scene.add(*(f"server-{number:02}" for number in range(3, SERVERS + 1)))
    Environment.objects.filter(pk=scene.home.pk).update(batch=BATCH)
    scene.home.refresh_from_db()
    first = _ended(scene.ask(0), lambda: None)
    assert first.status == Status.SUCCEEDED, first.sentence

    carried = _begun(scene.ask(1))
    assert _highest_mb(_worker_of(carried)) < MOST_MB
    for child in _without_it(machines, carried):  # two workers, and who would settle
        child.kill()
    _ended(carried, lambda: None)
    assert carried.status == Status.SUCCEEDED, carried.sentence
    _is_as_told(carried, scene, before="1.0.0")
    assert set(scene.runs().values()) == {"2.0.0"}

    for child in _all(machines):
        child.kill()
        child.start()
    lost = _begun(scene.ask(0))
    os.kill(_worker_of(lost), signal.SIGKILL)
    died = lost.worker
    _until(lambda: _going_back(lost, died), reaper.call_for_settling, "another worker to take servers back")
    os.kill(_worker_of(lost), signal.SIGKILL)
    _ended(lost, reaper.call_for_settling)
    assert lost.status == Status.ROLLED_BACK, lost.sentence
    if not lost.targets.filter(status=TargetStatus.FAILED).exists():  # files on their way that never came are a reason
        assert lost.outcome == "worker_lost", lost.sentence
    _is_as_told(lost, scene, before="2.0.0")
    assert set(scene.runs().values()) == {"2.0.0"}

    again = _ended(scene.ask(0), lambda: None)
    assert again.status == Status.SUCCEEDED, f"the environment is usable again: {again.sentence}"
    _is_as_told(again, scene, before="2.0.0")
    assert trail.verify() == []


def _is_as_told(deployment: Deployment, scene: Scene, *, before: str) -> None:
    """What is said of each server is so there, by its own journal and its units."""
    started = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}", name="deployment.started")
    assert started.count() == 1, "it was claimed once"
    for target in deployment.targets.select_related("server", "deployment__release"):
        host, what = scene.hosts[target.server.name], f"{target.server}: {target.status}: {target.sentence}"
        verified = target.status == TargetStatus.SUCCEEDED
        assert verified or target.status in AS_BEFORE, what
        assert untruths(target, (host.root / JOURNAL).read_text(), host.current or "") == [], what
        assert verified or (host.current or "").partition("-")[0] == before, what
        assert host.machine.unit(UNIT)["ActiveState"] == "active", what


def _begun(deployment: Deployment) -> Deployment:
    """It, once its canary and two batches are verified and a third is at work."""

    def reached() -> bool:
        states = list(deployment.targets.values_list("status", flat=True))
        return states.count(TargetStatus.SUCCEEDED) > 2 * BATCH and TargetStatus.RUNNING in states

    _until(reached, lambda: None, f"{deployment} to be half done")
    deployment.refresh_from_db()
    assert not deployment.ended, deployment.sentence
    return deployment


def _going_back(deployment: Deployment, died: str) -> bool:
    """Whether another worker than the dead one has taken it over, and has taken servers back."""
    deployment.refresh_from_db()
    assert not deployment.ended, f"there was nothing left to kill: {deployment.sentence}"
    return deployment.worker != died and deployment.targets.filter(status=TargetStatus.REVERTED).exists()


def _ended(deployment: Deployment, meanwhile: Callable[[], object]) -> Deployment:
    def over() -> bool:
        deployment.refresh_from_db()
        return deployment.ended

    _until(over, meanwhile, f"{deployment} to end")
    return deployment


def _until(condition: Callable[[], bool], meanwhile: Callable[[], object], what: str) -> None:
    """Wait for it; about every second `meanwhile` is done, as the schedule does every minute."""
    ends = time.monotonic() + 300
    due = time.monotonic() + 1
    while not condition():
        assert time.monotonic() < ends, f"waited for {what}"
        if time.monotonic() > due:
            meanwhile()
            due = time.monotonic() + 1
        time.sleep(0.02)


def _worker_of(deployment: Deployment) -> int:
    return int(deployment.worker.rpartition(":")[2])


def _without_it(machines: Machines, deployment: Deployment) -> list[Child]:
    """The clusters of the machine that does not have it."""
    group = os.getpgid(_worker_of(deployment))
    (there,) = [name for name, children in machines.items() if group in {_group(child) for child in children}]
    return [child for name, children in machines.items() for child in children if name != there]


def _group(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


def _highest_mb(pid: int) -> float:
    """The most memory that a process has had, as Linux counts it (VmHWM)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
