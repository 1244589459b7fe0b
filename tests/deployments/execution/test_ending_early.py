"""A run that somebody ends, and units that crash after it had succeeded."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from deployments.core import queueing
from deployments.core.actors import system_actor
from deployments.execution import watch as watching
from deployments.execution.remote_cancellation import cancel_remote
from deployments.execution.run import execute
from deployments.lifecycle import Kind, Status
from deployments.models import AuditEvent, Deployment, Environment, Server
from deployments.requests.cancellation import cancel
from tests.deployments.execution.conftest import UNIT, Scene


def test_what_was_cancelled_before_its_first_server_changes_nothing(scene: Scene) -> None:
    row = scene.ask()
    cancel(actor=scene.actor, deployment=row)
    assert execute(row.pk) is None
    row.refresh_from_db()
    assert row.status == Status.CANCELLED
    assert cancel_remote(row.pk) == "Nothing was running on any server."
    assert scene.hosts["one"].asked == []


class TestWatching:
    """The looks after success."""

    @pytest.fixture
    def baking(self, scene: Scene) -> Deployment:
        Environment.objects.filter(pk=scene.home.pk).update(bake_seconds=300, bake_action="rollback")
        scene.home.refresh_from_db()
        scene.deploy(0)
        return scene.deploy(1)

    def look(self, row: Deployment) -> str:
        return watching.watch(actor=system_actor("watch"), number=row.pk)

    def test_while_nothing_happens_it_is_looked_at_again(
        self, baking: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later: list[tuple[int, float]] = []
        monkeypatch.setattr(queueing, "enqueue_watch", lambda pk, *, after: later.append((pk, after)))
        assert self.look(baking) == "goes on"
        assert later == [(baking.pk, watching.AGAIN_SECONDS)]

    def test_its_sentence_says_that_the_watch_goes_on_until_it_says_what_was_seen(self, baking: Deployment) -> None:
        def seen() -> list[str]:
            return [target.looked_at for target in baking.targets.all()]

        assert all(words in baking.sentence for words in seen())
        assert baking.sentence.endswith(" So far: the watch goes on."), baking.sentence
        assert self.look(baking) == "goes on"
        baking.refresh_from_db()
        assert baking.sentence.endswith(" So far: the watch goes on."), "while it bakes"
        Deployment.objects.filter(pk=baking.pk).update(bake_until=timezone.now())
        assert self.look(baking) == "over"
        baking.refresh_from_db()
        assert "the watch goes on" not in baking.sentence
        assert all(words in baking.sentence for words in seen())

    def test_of_a_crash_it_says_what_was_seen(self, scene: Scene, baking: Deployment) -> None:
        Deployment.objects.filter(pk=baking.pk).update(bake_until=None)
        scene.hosts["one"].machine.unit(UNIT, NRestarts="3", InvocationID="another", MainPID="4194399")
        assert self.look(baking) == "crashed"
        baking.refresh_from_db()
        assert f"Looked at: one: {baking.targets.get(server__name='one').looked_at}. two: " in baking.sentence
        assert "the watch goes on" not in baking.sentence

    def test_a_crash_while_it_bakes_takes_it_back(self, scene: Scene, baking: Deployment) -> None:
        scene.hosts["two"].machine.unit(UNIT, NRestarts="3", InvocationID="another", MainPID="4194399")
        assert self.look(baking) == "crashed"
        back = Deployment.objects.get(kind=Kind.ROLLBACK)
        assert (back.status, back.release, back.rollback_of) == (Status.QUEUED, scene.releases[0], baking)
        baking.refresh_from_db()
        assert baking.targets.get(server__name="two").facts["watch"]["status"] == "failed"
        assert self.look(baking) == "over", "something else is going on"
        assert execute(back.pk) == Status.SUCCEEDED
        assert scene.runs() == {"one": "1.0.0", "two": "1.0.0"}

    def test_a_crash_afterwards_is_told_and_nothing_is_done(self, scene: Scene, baking: Deployment) -> None:
        Deployment.objects.filter(pk=baking.pk).update(bake_until=None)
        scene.hosts["one"].machine.unit(UNIT, NRestarts="3", InvocationID="another", MainPID="4194399")
        assert self.look(baking) == "crashed"
        assert not Deployment.objects.filter(kind=Kind.ROLLBACK).exists()
        event = AuditEvent.objects.get(name="deployment.crashed")
        assert event.data["server"] == "one"
        assert event.subject == f"deployment:{baking.pk}"
        assert self.look(baking) == "over"
        assert AuditEvent.objects.filter(name="deployment.crashed").count() == 1

    def test_a_server_that_cannot_be_asked_has_not_crashed(self, scene: Scene, baking: Deployment) -> None:
        for host in scene.hosts.values():
            host.cut()
            host.refuses = True
        assert self.look(baking) == "goes on"

    def test_what_does_not_run_any_more_is_over(self, scene: Scene, baking: Deployment) -> None:
        scene.deploy(0)
        assert self.look(baking) == "over"

    def test_the_looks_come_closer_as_its_end_does_and_end_with_it(
        self, baking: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later: list[float] = []
        monkeypatch.setattr(queueing, "enqueue_watch", lambda pk, *, after: later.append(after))
        now = timezone.now()
        monkeypatch.setattr(timezone, "now", lambda: now)
        for seconds in (31.0, 30.0, 7.0, 0.5):
            Deployment.objects.filter(pk=baking.pk).update(bake_until=now + timedelta(seconds=seconds))
            assert self.look(baking) == "goes on"
        assert later == [30.0, 30.0, 7.0, 1.0]
        Deployment.objects.filter(pk=baking.pk).update(bake_until=now)
        assert self.look(baking) == "over"
        assert len(later) == 4

    def test_what_was_seen_is_kept_with_each_server_and_tells_when(self, scene: Scene, baking: Deployment) -> None:
        Deployment.objects.filter(pk=baking.pk).update(bake_until=None)
        scene.hosts["two"].machine.unit(UNIT, NRestarts="3", InvocationID="another", MainPID="4194399")
        assert self.look(baking) == "crashed"
        seen = {target.server.name: target.facts["watch"] for target in baking.targets.select_related("server")}
        assert {name: facts["status"] for name, facts in seen.items()} == {"one": "succeeded", "two": "failed"}
        assert all(set(facts) == {"status", "reason", "sentence", "at"} for facts in seen.values())
        assert AuditEvent.objects.get(name="deployment.crashed").data["sentence"] == seen["two"]["sentence"]

    def test_what_somebody_stopped_is_not_asked(self, scene: Scene, baking: Deployment) -> None:
        Server.objects.filter(name="two").update(stopped={"by": "olga", "units": [UNIT], "bot": True})
        scene.hosts["two"].machine.unit(UNIT, ActiveState="inactive", SubState="dead", MainPID="0")
        assert self.look(baking) == "goes on"
        asked = [host.asked[-1] for host in scene.hosts.values()]
        assert asked == ["watch", "run"]
        assert "watch" not in baking.targets.get(server__name="two").facts

    def test_one_that_cannot_be_asked_hides_no_other_ones_crash(self, scene: Scene, baking: Deployment) -> None:
        scene.hosts["one"].cut()
        scene.hosts["one"].refuses = True
        scene.hosts["two"].machine.unit(UNIT, NRestarts="3", InvocationID="another", MainPID="4194399")
        assert self.look(baking) == "crashed"
        assert AuditEvent.objects.get(name="rollback.requested").data["rollback_of"] == baking.pk

    def test_one_that_cannot_tell_is_not_noted_and_one_that_did_not_take_it_is_not_asked(
        self, scene: Scene, baking: Deployment
    ) -> None:
        (scene.hosts["one"].root / ".deploy" / "journal.jsonl").unlink()
        baking.targets.filter(server__name="two").update(status="failed")
        assert self.look(baking) == "goes on"
        assert [host.asked[-1] for host in scene.hosts.values()] == ["watch", "run"]
        assert all("watch" not in target.facts for target in baking.targets.all())

    def test_what_happens_in_another_environment_ends_no_watch(self, scene: Scene, baking: Deployment) -> None:
        other = Environment.objects.exclude(pk=scene.home.pk)[0]
        usual: dict[str, Any] = {
            "environment": other,
            "release": scene.releases[0],
            "snapshot": baking.snapshot,
            "seal": baking.seal,
        }
        Deployment.objects.create(status=Status.SUCCEEDED, finished_at=timezone.now(), **usual)
        Deployment.objects.create(status=Status.RUNNING, **usual)
        assert self.look(baking) == "goes on"
        Deployment.objects.create(
            status=Status.FAILED, finished_at=timezone.now(), **{**usual, "environment": scene.home}
        )
        assert self.look(baking) == "goes on", "a later failure changed nothing"
