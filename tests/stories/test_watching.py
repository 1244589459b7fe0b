"""The watch after success, on a real server: a worker unit beside a healthy web unit crashes every few seconds."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.core.actors import system_actor
from deployments.execution.run import execute
from deployments.execution.watch import watch
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment
from engine.commands.provisioning import unit_digests
from engine.ssh.keys import generate_key
from sandbox.hosts import HostSet
from tests.fixtures.fleet import UNIT, Fleet, Provisioned, clean, make_ready, setup_for
from tests.fixtures.records import EXAMPLE
from tests.stories.running import shell, wait_for

pytestmark = pytest.mark.hosts

WORKER = "dice-worker.service"
WATCHER = system_actor("watch")
CRASHES = "import time\ntime.sleep(3)\nraise SystemExit(1)\n"
WELL = "import time\ntime.sleep(3600)\n"


def worker_unit() -> bytes:
    text = (EXAMPLE / "systemd" / UNIT).read_text()
    lines = [
        "ExecStart=/usr/bin/python3 -B /opt/dice-bot/current/dicebot/worker.py",
        "Restart=always",
        "RestartSec=0.2",
    ]
    kept = [line for line in text.splitlines() if not line.startswith(("ExecStart", "Restart", "Type"))]
    at = kept.index("[Service]") + 1
    return "\n".join([*kept[:at], *lines, *kept[at:], ""]).encode()


@pytest.fixture(scope="module")
def with_worker(hosts_factory: Callable[..., HostSet]) -> Provisioned:
    hosts = hosts_factory(1)
    private, public = generate_key("tests")
    usual = setup_for(hosts, public)
    setup = replace(usual, units={**usual.units, WORKER: worker_unit()})
    make_ready(hosts, hosts.host(1), setup)
    return Provisioned(hosts, hosts.hosts, private, public, unit_digests(setup))


@pytest.fixture
def fleet(with_worker: Provisioned, transactional_db: None, state_dir: Path, tmp_path: Path) -> Fleet:
    with_worker.machines[0].power_on()
    shell(with_worker.machines[0], f"systemctl stop {WORKER}")
    clean(with_worker.machines[0])
    fleet = Fleet(with_worker, tmp_path)
    fleet.enrol()
    return fleet


def working(text: str) -> Callable[[Path], None]:
    """A change of the example that gives it a second unit, which runs this."""

    def change(tree: Path) -> None:
        (tree / "systemd" / WORKER).write_bytes(worker_unit())
        (tree / "dicebot" / "worker.py").write_text(text)
        deploy = (tree / "deploy.toml").read_text()
        both = f'units = ["systemd/{UNIT}", "systemd/{WORKER}"]'
        (tree / "deploy.toml").write_text(deploy.replace(f'units = ["systemd/{UNIT}"]', both))

    return change


def bake(fleet: Fleet, seconds: int) -> None:
    environment = fleet.environment
    environment.bake_seconds = seconds
    environment.save()


def crashed(fleet: Fleet) -> None:
    """Until systemd has restarted the worker by itself."""
    count = f"systemctl show -P NRestarts {WORKER}"
    wait_for(lambda: int(shell(fleet.machines[0], count) or 0) >= 1, "the worker to crash")


def deployed(fleet: Fleet, version: str, text: str) -> Deployment:
    deployment = fleet.deploy(fleet.release(version, working(text)))
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    return deployment


def due(deployment: Deployment) -> list[float]:
    """In how many seconds the queue is to look at it."""
    rows = [row for row in OrmQ.objects.all() if row.task["func"] == "deployments.tasks.watch"]
    return [(row.lock - timezone.now()).total_seconds() for row in rows if row.task["args"] == (deployment.pk,)]


def test_a_worker_that_crashes_while_it_bakes_is_taken_back_and_not_said_to_run(fleet: Fleet) -> None:
    bake(fleet, 300)
    deployed(fleet, "1.0.0", WELL)
    bad = deployed(fleet, "1.0.1", CRASHES)
    assert "watched for" in bad.sentence
    assert (bad.seconds or 99.0) < 10.0, "the watch is none of the deployment's time"
    [seconds] = due(bad)
    assert 5.0 < seconds < 12.0
    crashed(fleet)
    assert watch(actor=WATCHER, number=bad.pk) == "crashed"
    rollback = Deployment.objects.get(kind=Kind.ROLLBACK)
    assert rollback.rollback_of == bad
    assert WORKER in rollback.reason
    execute(rollback.pk)
    rollback.refresh_from_db()
    bad.refresh_from_db()
    assert rollback.status == Status.SUCCEEDED, rollback.sentence
    assert f"rollback {rollback.pk} has taken it back" in bad.sentence
    assert "runs on" not in bad.sentence
    assert shell(fleet.machines[0], f"systemctl show -P NRestarts {WORKER}") == "0"
    assert watch(actor=WATCHER, number=bad.pk) == "over"


def test_a_worker_that_lasts_is_watched_until_the_bake_is_over(fleet: Fleet) -> None:
    bake(fleet, 300)
    good = deployed(fleet, "1.0.2", WELL)
    OrmQ.objects.all().delete()
    assert watch(actor=WATCHER, number=good.pk) == "goes on"
    assert len(due(good)) == 1
    target = good.targets.get()
    assert f"{WORKER} watched for" in target.looked_at
    assert "no restart" in target.looked_at
    shell(fleet.machines[0], f"systemctl restart {WORKER}")
    assert watch(actor=WATCHER, number=good.pk) == "goes on", "a restart by hand is no crash"
    Deployment.objects.update(bake_until=timezone.now() - timedelta(seconds=1))
    assert watch(actor=WATCHER, number=good.pk) == "over"


def test_without_a_bake_a_crash_is_told_once_and_nothing_is_done(fleet: Fleet) -> None:
    bad = deployed(fleet, "1.0.3", CRASHES)
    crashed(fleet)
    assert watch(actor=WATCHER, number=bad.pk) == "crashed"
    assert watch(actor=WATCHER, number=bad.pk) == "over"
    told = AuditEvent.objects.filter(name="deployment.crashed")
    assert [event.data["server"] for event in told] == ["dice-1"]
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
    assert WORKER in bad.targets.get().looked_at


def test_a_server_that_does_not_answer_has_not_crashed(fleet: Fleet, short_deadlines: None) -> None:
    bake(fleet, 300)
    good = deployed(fleet, "1.0.4", WELL)
    fleet.machines[0].power_off()
    assert watch(actor=WATCHER, number=good.pk) == "goes on"
    assert "watched for" in good.targets.get().looked_at, "what was seen before stays"
    assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
