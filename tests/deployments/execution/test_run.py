"""Deployments from the claim to the end, on servers played from a script: what the records and the servers say."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from deployments.execution import run, silences
from deployments.execution.claims import LOOKED_FOR, claim
from deployments.execution.run import execute
from deployments.lifecycle import Status, StepState, TargetStatus
from deployments.models import AuditEvent, Deployment, Server, Step
from engine.remote import client
from tests.deployments.execution.conftest import UNIT, Scene


def targets(row: Deployment) -> dict[str, tuple[str, str]]:
    """Status and outcome on each server."""
    return {each.server.name: (each.status, each.outcome) for each in row.targets.select_related("server")}


def said(row: Deployment) -> str:
    return "\n".join(row.log_lines.values_list("text", flat=True))


def about(row: Deployment, words: str) -> list[str | None]:
    """With which server each line of the portal's own is kept that has these words."""
    lines = row.log_lines.filter(stream="portal", text__contains=words).order_by("id")
    return list(lines.values_list("target__server__name", flat=True))


def test_a_release_runs_on_every_server_and_the_records_say_so(scene: Scene) -> None:
    row = scene.deploy()
    assert (row.status, row.outcome) == (Status.SUCCEEDED, "verified"), targets(row)
    assert row.sentence.startswith(f"{scene.releases[0]} runs on one, two, verified. Looked at: "), row.sentence
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}
    assert targets(row) == {"one": ("succeeded", "verified"), "two": ("succeeded", "verified")}
    for server in Server.objects.filter(environment=scene.home):
        assert (server.current_release, server.previous_release) == (scene.releases[0], None)
        assert server.config_digest == row.sealed.configuration.digest
    steps = Step.objects.filter(target__deployment=row, target__server__name="two")
    assert [step.name for step in steps] == [*row.sealed.plan.steps, "prune"]
    assert {step.state for step in steps} == {StepState.OK}
    assert all(step.finished_at and step.seconds is not None for step in steps)
    assert [about(row, f"Connecting to {name}.") for name in ("one", "two")] == [["one"], ["two"]]
    scene.home.refresh_from_db()
    assert scene.home.application == "tea-bot"
    assert row.bake_until is not None
    assert row.verified_at is not None
    assert row.bake_until > row.verified_at
    assert row.lease_until is None
    event = AuditEvent.objects.get(name="deployment.succeeded")
    assert event.actor == "system:worker"
    assert event.data["release"] == scene.releases[0].identifier
    assert event.data["targets"] == {"one": "succeeded", "two": "succeeded"}
    assert event.data["outcome"] == "verified"
    started = AuditEvent.objects.get(name="deployment.started")
    assert (started.data["fence"], started.data["seal"]) == (row.fence, row.seal)
    assert execute(row.pk) is None, "a task that is delivered twice finds nothing to claim"


def test_the_second_deployment_remembers_what_ran_before(scene: Scene) -> None:
    first, second = scene.deploy(0), scene.deploy(1)
    assert (first.status, second.status) == (Status.SUCCEEDED, Status.SUCCEEDED), targets(second)
    assert scene.runs() == {"one": "2.0.0", "two": "2.0.0"}
    for server in Server.objects.filter(environment=scene.home):
        assert (server.current_release, server.previous_release) == (scene.releases[1], scene.releases[0])
    assert second.fence is not None
    assert first.fence is not None
    assert second.fence > first.fence


def test_what_somebody_had_stopped_runs_again_and_its_silence_ends(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoke: list[str] = []
    monkeypatch.setattr(silences, "speak_again", lambda server: spoke.append(server.name))
    Server.objects.filter(name="two").update(stopped={"by": "olga", "units": [UNIT], "bot": True})
    scene.deploy()
    assert spoke == ["two"], "of the other one nothing was silenced"
    assert Server.objects.get(name="two").stopped is None


def test_a_canary_that_fails_keeps_the_others_as_they_were(scene: Scene) -> None:
    scene.deploy(0)
    scene.hosts["one"].machine.next_starts(UNIT, "failed", "active")
    row = scene.deploy(1)
    assert (row.status, row.outcome) == (Status.ROLLED_BACK, "unit_not_active")
    assert targets(row) == {"one": ("reverted", "unit_not_active"), "two": ("skipped", "")}
    assert row.sentence.endswith("Every server runs what it ran before.")
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}
    assert scene.hosts["two"].began == 1, "by the first deployment"
    event = AuditEvent.objects.get(name="deployment.rolled_back")
    assert event.data["targets"] == {"one": "reverted", "two": "skipped"}
    assert set(Server.objects.values_list("current_release__version", flat=True)) == {"1.0.0"}


def test_what_was_activated_goes_back_when_a_later_server_fails(scene: Scene) -> None:
    scene.deploy(0)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "active")
    row = scene.deploy(1)
    assert (row.status, row.outcome) == (Status.ROLLED_BACK, "unit_not_active")
    assert targets(row) == {"one": ("reverted", "reverted_on_request"), "two": ("reverted", "unit_not_active")}
    assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}
    assert about(row, "Reverting one.") == ["one"]


def test_a_server_that_says_no_before_anything_was_changed_is_a_failure(scene: Scene) -> None:
    scene.hosts["one"].machine.says_no("sudo", "Sorry, user rosey may not run sudo here.")
    row = scene.deploy()
    assert (row.status, row.outcome) == (Status.FAILED, "no_sudo")
    assert targets(row)["two"] == ("skipped", "")
    assert scene.runs() == {"one": None, "two": None}


def test_a_server_that_cannot_be_reached_is_named(scene: Scene) -> None:
    scene.hosts["one"].refuses = True
    row = scene.deploy()
    assert row.status == Status.FAILED
    assert targets(row)["one"][0] == TargetStatus.FAILED
    assert "127.0.0.1" in row.sentence


def test_a_servers_clock_is_held_against_the_portals_and_not_that_of_the_workers_machine(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = SimpleNamespace(time=lambda: time.time() + 600, monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(client, "time", wrong)
    row = scene.deploy()
    assert row.status == Status.SUCCEEDED, row.sentence


def test_another_host_key_ends_it_before_anything_is_sent(scene: Scene) -> None:
    one, two = scene.hosts.values()
    Server.objects.filter(name="one").update(host_key=two.host_key)
    row = scene.deploy()
    assert (row.status, row.outcome) == (Status.FAILED, "host_key_mismatch")
    assert one.asked == []


def test_an_artifact_that_rotted_is_refused_before_a_server_hears_of_it(scene: Scene) -> None:
    row = scene.ask()
    path = Path(scene.releases[0].artifact.path)
    path.write_bytes(path.read_bytes()[:-600])
    execute(row.pk)
    row.refresh_from_db()
    assert row.status in (Status.FAILED, Status.SUPERSEDED), row.sentence
    assert scene.hosts["one"].asked == []


def test_a_cut_line_is_asked_again_and_the_run_counts(scene: Scene) -> None:
    cut: list[int] = []

    def once(verb: str, heard: int) -> bool:
        if verb == "run" and heard > 400 and not cut:
            cut.append(heard)
            return True
        return False

    scene.hosts["one"].cuts = once
    row = scene.deploy()
    assert cut
    assert (row.status, row.outcome) == (Status.SUCCEEDED, "verified"), targets(row)
    assert about(row, "Asking one what is true.") == ["one"]
    steps = Step.objects.filter(target__deployment=row, target__server__name="one")
    assert [step.name for step in steps] == [*row.sealed.plan.steps, "prune"]


def test_a_server_that_stays_away_is_left_to_the_reaper(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)

    def for_good(verb: str, heard: int) -> bool:
        scene.hosts["one"].refuses = verb == "run" and heard > 400
        return scene.hosts["one"].refuses

    scene.hosts["one"].cuts = for_good
    row = scene.deploy()
    assert row.status == Status.RUNNING
    assert targets(row) == {"one": ("running", ""), "two": ("waiting", "")}
    assert row.lease_until is not None


def test_a_worker_without_the_artifact_leaves_the_deployment_to_one_that_has_it(scene: Scene) -> None:
    row = scene.ask()
    OrmQ.objects.all().delete()  # this worker has taken the task
    path = Path(scene.releases[0].artifact.path)
    kept = path.rename(path.with_suffix(".elsewhere"))
    assert execute(row.pk) is None
    row.refresh_from_db()
    assert (row.status, row.outcome) == (Status.QUEUED, "")
    assert [tuple(task.task["args"]) for task in OrmQ.objects.all()] == [(row.pk,)]
    kept.rename(path)
    assert claim(row.pk) is not None
    row.refresh_from_db()
    assert row.status == Status.RUNNING


def test_a_deployment_whose_artifact_nobody_has_ends_and_says_so(scene: Scene) -> None:
    row = scene.ask()
    Path(scene.releases[0].artifact.path).unlink()
    Deployment.objects.filter(pk=row.pk).update(queued_at=timezone.now() - LOOKED_FOR * 2)
    assert execute(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.SUPERSEDED
    assert "no worker that took it had what it needs" in row.sentence
