"""Workers die, servers stay away, requests arrive late: the record becomes true in the end, and nothing runs twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.audit import trail
from deployments.core.sessions import open_target
from deployments.execution import claims, run
from deployments.execution.host_plans import HostPlans
from deployments.execution.reaper import GIVE_UP, reap
from deployments.execution.run import execute
from deployments.lifecycle import EXECUTING, Status
from deployments.models import AuditEvent, Deployment, Target
from deployments.releases import artifacts
from deployments.requests.rollbacks import request_rollback
from engine.artifacts.artifact import ArtifactReader
from engine.remote import AgentClient
from tests.fixtures.fleet import Fleet
from tests.stories.running import (
    GO,
    HOLD,
    deadlines,
    go_on,
    held,
    in_background,
    lock_is_free,
    rehearse,
    runs,
    wait_for,
)

pytestmark = pytest.mark.hosts


@pytest.fixture
def old(fleet: Fleet) -> str:
    """The release that runs."""
    fleet.enrol()
    release = fleet.release("1.0.0")
    assert fleet.deploy(release).status == Status.SUCCEEDED
    return release.identifier


def abandon(deployment: Deployment) -> None:
    """Its worker is gone, and its lease has run out."""
    Deployment.objects.filter(pk=deployment.pk).update(lease_until=timezone.now())


def half_an_hour_ago(deployment: Deployment) -> None:
    """It began so long ago that the reaper gives up."""
    long_ago = timezone.now() - GIVE_UP - timedelta(minutes=1)
    Deployment.objects.filter(pk=deployment.pk).update(started_at=long_ago)
    deployment.targets.update(started_at=long_ago)


def test_the_reaper_waits_for_an_agent_that_is_still_at_work(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "restart", GO)
    deployment = fleet.request(fleet.release("1.0.1"))
    with in_background(deployment):
        wait_for(lambda: held(deployment), "the restart to begin")
        abandon(deployment)
        assert reap() == []
        deployment.refresh_from_db()
        assert deployment.status in EXECUTING
        go_on(machine)
        wait_for(lambda: lock_is_free(machine), "the agent to finish")
        wait_for(lambda: reap() or _ended(deployment), "the end to be written")
    assert deployment.status == Status.SUCCEEDED, deployment.sentence
    told = AuditEvent.objects.filter(subject=f"deployment:{deployment.pk}", name="deployment.succeeded")
    assert told.count() == 1, "reaper and worker do not both conclude"


def _ended(deployment: Deployment) -> bool:
    deployment.refresh_from_db()
    return deployment.ended


@pytest.mark.usefixtures("short_deadlines")
@pytest.mark.parametrize(
    ("script", "ends"), [(HOLD, Status.ROLLED_BACK), (GO, Status.SUCCEEDED)], ids=["reverted", "verified"]
)
def test_interrupted_becomes_what_the_server_tells_when_it_is_back(
    fleet: Fleet, old: str, monkeypatch: pytest.MonkeyPatch, script: str, ends: Status
) -> None:
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)
    machine = fleet.machines[0]
    rehearse(machine, "restart", script)
    deployment = fleet.request(fleet.release("1.0.1", deadlines(restart=6)))
    with in_background(deployment):
        wait_for(lambda: held(deployment), "the restart to begin")
        machine.link(False)
        go_on(machine)
    half_an_hour_ago(deployment)
    assert reap() == [deployment.pk]
    deployment.refresh_from_db()
    assert deployment.status == Status.INTERRUPTED
    assert "could not be asked how it ended" in deployment.sentence
    wait_for(lambda: lock_is_free(machine), "the agent to end")
    machine.link(True)
    machine.wait_ready()  # not only the cable: for a second the address may still count as gone
    ended = deployment.finished_at
    assert reap() == [deployment.pk]
    deployment.refresh_from_db()
    assert deployment.status == ends, deployment.sentence
    assert deployment.finished_at == ended, "when it ended is not when we heard of it"
    assert runs(machine) == fleet.current() == (deployment.release.identifier if ends == Status.SUCCEEDED else old)
    assert fleet.server().current_release.identifier == fleet.current()  # type: ignore[union-attr]  # it was deployed
    assert reap() == []
    assert trail.verify() == []


@pytest.mark.full
@pytest.mark.usefixtures("short_deadlines")
def test_a_later_deployment_leaves_an_interrupted_one_as_it_is(
    fleet: Fleet, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = interrupted(fleet, monkeypatch)
    assert fleet.deploy(fleet.release("1.0.2")).status == Status.SUCCEEDED
    assert reap() == []
    deployment.refresh_from_db()
    assert deployment.status == Status.INTERRUPTED
    assert fleet.server().current_release.version == "1.0.2"  # type: ignore[union-attr]  # it was deployed


@pytest.mark.usefixtures("short_deadlines")
def test_back_after_an_interruption_is_the_release_that_was_live(
    fleet: Fleet, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fleet.deploy(fleet.release("1.0.1")).status == Status.SUCCEEDED
    interrupted(fleet, monkeypatch, "1.0.3")
    rollback = request_rollback(actor=fleet.actor, environment=fleet.environment, reason="nobody knows what runs")
    assert rollback.release.version == "1.0.1", "not the one before it"
    assert execute(rollback.pk) == Status.SUCCEEDED
    assert fleet.current() == rollback.release.identifier


def interrupted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, version: str = "1.0.1") -> Deployment:
    """A deployment whose server was off for half an hour, and is back."""
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)
    machine = fleet.machines[0]
    rehearse(machine, "restart", HOLD)
    deployment = fleet.request(fleet.release(version, deadlines(restart=6)))
    with in_background(deployment):
        wait_for(lambda: held(deployment), "the restart to begin")
        machine.link(False)
    half_an_hour_ago(deployment)
    reap()
    wait_for(lambda: lock_is_free(machine), "the agent to revert")
    machine.link(True)
    machine.wait_ready()  # not only the cable: for a second the address may still count as gone
    machine.root(["rm", "-rf", "/opt/dice-bot/.deploy/rehearsal"])
    deployment.refresh_from_db()
    assert deployment.status == Status.INTERRUPTED
    return deployment


def test_a_request_that_arrives_after_it_was_settled_is_refused(fleet: Fleet, old: str) -> None:
    """The line was cut while the request travelled; it reaches the server after we were told that nothing began."""
    claimed = claims.claim(fleet.request(fleet.release("1.0.1")).pk)
    assert claimed is not None
    deployment = claimed.deployment
    target = deployment.targets.select_related("server").get()
    Target.objects.filter(pk=target.pk).update(status="running")
    with artifacts.open_release(deployment.release) as reader:
        late = HostPlans(deployment, reader).plan(target, fence=deployment.fence or 0, within=60.0)
        abandon(deployment)
        assert reap() == [deployment.pk]
        deployment.refresh_from_db()
        assert (deployment.status, deployment.outcome) == (Status.FAILED, "not_started")
        answer = arrive(deployment, late, reader)
    assert answer.reason == "fence_outdated"
    assert fleet.current() == old


def arrive(deployment: Deployment, plan: Any, reader: ArtifactReader) -> Any:
    """The plan reaches its server."""
    target = deployment.sealed.targets[0]
    with open_target(deployment.environment, target) as session:
        return AgentClient(session, deployment.sealed.application).run(plan, reader, lambda record: None)


def test_a_worker_that_was_only_asleep_writes_nothing_any_more(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    rehearse(machine, "verify", GO)
    deployment = fleet.request(fleet.release("1.0.1"))
    with in_background(deployment):
        wait_for(lambda: held(deployment), "the verification to begin")
        abandon(deployment)
        taken = claims.take_over(Deployment.objects.get(pk=deployment.pk))
        go_on(machine)
        wait_for(lambda: lock_is_free(machine), "the agent to finish")
    assert deployment.status in EXECUTING, "the worker's own end was refused"
    assert taken is not None
    assert deployment.claim == taken.token
    assert deployment.targets.get().status == "running"
    abandon(deployment)
    assert reap() == [deployment.pk]
    deployment.refresh_from_db()
    assert deployment.status == Status.SUCCEEDED


@pytest.mark.usefixtures("short_deadlines")
def test_a_server_off_from_the_start_fails_in_a_sentence(fleet: Fleet, old: str) -> None:
    machine = fleet.machines[0]
    deployment = fleet.request(fleet.release("1.0.1"))
    machine.power_off()
    execute(deployment.pk)
    machine.power_on()
    deployment.refresh_from_db()
    assert deployment.status == Status.FAILED
    assert machine.address in deployment.sentence


def test_a_lost_artifact_does_not_keep_a_deployment_running(fleet: Fleet, old: str) -> None:
    release = fleet.release("1.0.1")
    deployment = fleet.request(release)
    claimed = claims.claim(deployment.pk)
    assert claimed is not None
    release.artifact.storage.delete(str(release.artifact.name))
    abandon(claimed.deployment)
    assert reap() == [deployment.pk]
    deployment.refresh_from_db()
    assert deployment.status == Status.FAILED


def test_a_first_deployment_that_fails_leaves_a_stopped_clean_server(fleet: Fleet) -> None:
    fleet.enrol()

    def broken(tree: Any) -> None:
        module = tree / "dicebot" / "__main__.py"
        module.write_text("import sys\nif '--check' not in sys.argv:\n    sys.exit('no')\n" + module.read_text())

    deployment = fleet.deploy(fleet.release("1.0.0", broken))
    assert deployment.status == Status.ROLLED_BACK, deployment.sentence
    assert "Nothing ran here before" in deployment.sentence
    machine = fleet.machines[0]

    def left() -> list[str]:
        shown = "cd /opt/dice-bot && ls -A releases shared/config; ls -d current"
        return machine.root(["sh", "-c", shown], check=False).stdout.decode().split()

    wait_for(lambda: left() == ["releases:", "shared/config:"], "the server to be clean: it deletes after it answered")
    assert machine.root(["systemctl", "is-active", "dice-bot"], check=False).stdout.strip() == b"inactive"
    assert fleet.server().current_release is None
    assert fleet.deploy(fleet.release("1.0.1")).status == Status.SUCCEEDED
