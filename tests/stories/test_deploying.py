"""Deployments on real servers: what reaches them, what is recorded, and what is left when something is wrong."""

import json
import urllib.request
from pathlib import Path

import pytest

from deployments.audit import trail
from deployments.lifecycle import Status
from deployments.models import AuditEvent, LogLine, Step
from tests.fixtures.fleet import TREE, Fleet

pytestmark = pytest.mark.hosts


def test_a_first_deployment_runs_the_release_and_records_every_step(fleet: Fleet) -> None:
    fleet.enrol()
    release = fleet.release("1.0.0")
    deployment = fleet.deploy(release)
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    assert fleet.current() == release.identifier
    with urllib.request.urlopen(f"http://{fleet.machines[0].address}:8101/status", timeout=60) as answer:
        assert json.load(answer)["version"] == "1.0.0"
        assert answer.headers["X-Release"] == release.identifier
    steps = list(Step.objects.values_list("name", "state"))
    assert [name for name, _ in steps][:7] == deployment.snapshot["plan"]["steps"]
    assert {state for _, state in steps} == {"ok"}
    assert LogLine.objects.filter(deployment=deployment).exists()
    server = fleet.server()
    assert server.current_release == release
    assert server.facts["health"] == {"port": 8101, "path": "/status"}
    names = set(AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}").values_list("name", flat=True))
    assert {"deployment.requested", "deployment.started", "deployment.succeeded"} <= names
    assert trail.verify() == []


def test_a_second_release_ships_only_what_changed(fleet: Fleet) -> None:
    fleet.enrol()
    first, second = fleet.release("1.0.0"), fleet.release("1.0.1")
    fleet.deploy(first)
    deployment = fleet.deploy(second)
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    same = fleet.machines[0].root(
        ["stat", "-c", "%i %h", *(f"{TREE}/releases/{release.identifier}/deploy.toml" for release in (first, second))]
    )
    first_inode, second_inode = (line.split() for line in same.stdout.decode().splitlines())
    assert first_inode == second_inode, "unchanged files are hard links of each other"
    assert fleet.server().previous_release == first


def test_a_release_that_is_never_healthy_is_reverted_on_every_server(fleet: Fleet) -> None:
    fleet.enrol(2)
    good = fleet.release("1.0.0")
    assert fleet.deploy(good).status == Status.SUCCEEDED

    def breaks_on_the_second_server(tree: Path) -> None:
        module = tree / "dicebot" / "__main__.py"
        hostname = fleet.machines[1].root(["hostname"]).stdout.decode().strip()
        module.write_text(
            "import socket, sys\n"
            f"if socket.gethostname() == {hostname!r} and '--check' not in sys.argv:\n"
            "    sys.exit('this machine is not for me')\n" + module.read_text()
        )

    deployment = fleet.deploy(fleet.release("1.0.1", breaks_on_the_second_server))
    assert deployment.status == Status.ROLLED_BACK, deployment.sentence
    assert [fleet.current(1), fleet.current(2)] == [good.identifier, good.identifier]
    assert {target.status for target in deployment.targets.all()} == {"reverted"}
    assert fleet.server(1).current_release == good


def test_a_re_delivered_task_changes_nothing(fleet: Fleet) -> None:
    from deployments.execution.run import execute

    fleet.enrol()
    deployment = fleet.deploy(fleet.release("1.0.0"))
    steps = Step.objects.count()
    assert execute(deployment.pk) is None
    assert Step.objects.count() == steps
