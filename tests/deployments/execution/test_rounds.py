"""Many servers: the canary, then batches side by side, failures that are allowed, and time for each round."""

import itertools
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from django_q.models import OrmQ

from deployments.core import queueing
from deployments.execution import reaper, run
from deployments.execution.reaper import reap
from deployments.execution.run import execute
from deployments.execution.side_by_side import side_by_side
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment, Release, Server
from deployments.requests.environment_status import environment_statuses
from deployments.requests.requests import request_deployment
from deployments.requests.rollback_targets import rollback_target
from deployments.requests.rollbacks import request_rollback
from deployments.snapshot import ROUND_SECONDS
from tests.deployments.execution.conftest import UNIT, Scene
from tests.deployments.execution.test_reaper import expired


def targets(row: Deployment) -> dict[str, str]:
    """Status on each server."""
    return dict(row.targets.values_list("server__name", "status"))


def policy(scene: Scene, **changes: int) -> None:
    """The environment's, from now on."""
    Environment.objects.filter(pk=scene.home.pk).update(**changes)
    scene.home.refresh_from_db()


def meet(scene: Scene, *names: str, verb: str = "run", after: int = 400) -> list[str]:
    """Each of these servers goes on only once its agent and those of the others have said something; those that met."""
    met: list[str] = []
    together = threading.Barrier(len(names), timeout=20)

    def holding(name: str) -> Callable[[str, int], bool]:
        def hold(asked: str, said: int) -> bool:
            if asked == verb and said > after and name not in met:
                met.append(name)
                together.wait()
            return False

        return hold

    for name in names:
        scene.hosts[name].cuts = holding(name)
    return met


def test_after_the_canary_the_others_are_worked_on_side_by_side(scene: Scene) -> None:
    scene.add("x3", "x4")
    met = meet(scene, "two", "x3", "x4")
    row = scene.deploy()
    assert row.status == Status.SUCCEEDED, row.sentence
    assert sorted(met) == ["two", "x3", "x4"]
    assert scene.runs() == dict.fromkeys(("one", "two", "x3", "x4"), "1.0.0")
    assert row.sentence.startswith(f"{scene.releases[0]} runs on one, two, x3, x4, verified."), row.sentence


def test_no_more_than_the_batch_at_a_time_and_none_before_the_canary_is_well(scene: Scene) -> None:
    scene.add("x3", "x4", "x5")
    policy(scene, batch=2)
    row = scene.deploy()
    assert row.status == Status.SUCCEEDED, row.sentence
    times = {t.server.name: (t.started_at, t.finished_at) for t in row.targets.select_related("server")}
    rounds = [[each.server for each in group] for group in row.sealed.rounds]
    assert rounds == [["one"], ["two", "x3"], ["x4", "x5"]]
    for earlier, later in itertools.pairwise(rounds):
        ends = max(end for name in earlier if (end := times[name][1]))
        assert all(begin >= ends for name in later if (begin := times[name][0])), "a round waits for the one before"


def test_what_fails_in_a_round_takes_every_round_back_and_begins_no_other(scene: Scene) -> None:
    scene.add("x3", "x4", "x5")
    policy(scene, batch=2)
    scene.deploy(0)
    scene.hosts["x3"].machine.next_starts(UNIT, "failed", "active")
    met = meet(scene, "two", verb="revert", after=0)
    row = scene.deploy(1)
    assert row.status == Status.ROLLED_BACK, row.sentence
    assert targets(row) == {
        "one": "reverted",
        "two": "reverted",
        "x3": "reverted",
        "x4": "skipped",
        "x5": "skipped",
    }
    assert met == ["two"]
    assert set(scene.runs().values()) == {"1.0.0"}


def test_failures_that_the_policy_allows_leave_their_servers_as_they_were(scene: Scene) -> None:
    scene.add("x3")
    policy(scene, max_failures=1)
    scene.deploy(0)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "active")
    row = scene.deploy(1)
    assert row.status == Status.SUCCEEDED, row.sentence
    assert targets(row) == {"one": "succeeded", "two": "reverted", "x3": "succeeded"}
    assert row.sentence.startswith(f"{scene.releases[1]} runs on one, x3, verified."), row.sentence
    assert " Not on two, which the policy allows: what ran there before still does. two: " in row.sentence
    assert scene.runs() == {"one": "2.0.0", "two": "1.0.0", "x3": "2.0.0"}
    live = dict(Server.objects.filter(environment=scene.home).values_list("name", "current_release__version"))
    assert live == scene.runs(), "the record says what each server runs"


@pytest.mark.parametrize(("failing", "allowed"), [(("two", "x3"), 1), (("one",), 5)])
def test_one_failure_too_many_or_the_canarys_takes_everything_back(
    scene: Scene, failing: tuple[str, ...], allowed: int
) -> None:
    scene.add("x3", "x4")
    policy(scene, max_failures=allowed)
    scene.deploy(0)
    for name in failing:
        scene.hosts[name].machine.next_starts(UNIT, "failed", "active")
    row = scene.deploy(1)
    assert row.status == Status.ROLLED_BACK, row.sentence
    assert set(scene.runs().values()) == {"1.0.0"}


def test_a_server_that_needs_somebody_is_no_failure_that_is_allowed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(scene, max_failures=5)
    monkeypatch.setattr(run, "TIMEOUT_SECONDS", 0.0)

    def for_good(verb: str, heard: int) -> bool:
        scene.hosts["two"].refuses = verb == "run" and heard > 400
        return scene.hosts["two"].refuses

    scene.hosts["two"].cuts = for_good
    row = scene.deploy()
    assert row.status == Status.RUNNING, "nobody knows yet"
    expired(row, reaper.GIVE_UP * 2)
    reap()
    row.refresh_from_db()
    assert row.status == Status.INTERRUPTED, row.sentence


def test_each_round_has_the_whole_time_however_long_the_ones_before_took(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add("x3", "x4")
    policy(scene, batch=1)
    now = 0.0

    def for_nine_minutes(acts: Sequence[Callable[[], None]]) -> list[None]:
        nonlocal now
        done = side_by_side(acts)
        now += ROUND_SECONDS - 60
        return done

    monkeypatch.setattr(run, "side_by_side", for_nine_minutes)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now))
    row = scene.deploy()
    assert now == 4 * (ROUND_SECONDS - 60)
    assert row.status == Status.SUCCEEDED, row.sentence


def test_a_task_is_given_up_only_after_the_time_of_all_its_rounds(scene: Scene) -> None:
    def seconds(batch: int) -> int:
        OrmQ.objects.all().delete()
        policy(scene, batch=batch)
        row = scene.ask()
        (task,) = [each.task for each in OrmQ.objects.all() if each.task["func"] == queueing.EXECUTE]
        Deployment.objects.filter(pk=row.pk).update(status=Status.CANCELLED, finished_at=row.requested_at)
        return int(task["timeout"])

    scene.add(*(f"more-{number}" for number in range(4)))
    assert seconds(5) == 2 * ROUND_SECONDS + queueing.CONCLUDING_SECONDS
    assert seconds(1) == 6 * ROUND_SECONDS + queueing.CONCLUDING_SECONDS


@pytest.mark.full
def test_fifty_servers_in_batches_of_ten(scene: Scene) -> None:
    scene.add(*(f"server-{number:02}" for number in range(48)))
    rows = [scene.deploy(0), scene.deploy(1)]
    assert [row.status for row in rows] == [Status.SUCCEEDED] * 2, [row.sentence for row in rows]
    assert [len(group) for group in rows[1].sealed.rounds] == [1, 10, 10, 10, 10, 9]
    assert set(scene.runs().values()) == {"2.0.0"}


def go_back(scene: Scene) -> Deployment:
    """The way back that somebody means who names no release, carried out to its end."""
    row = request_rollback(actor=scene.actor, environment=scene.home, reason="errors")
    execute(row.pk)
    row.refresh_from_db()
    return row


def test_nothing_may_fail_on_the_way_back_and_it_can_be_asked_again(scene: Scene) -> None:
    scene.add("x3")
    policy(scene, max_failures=1)
    scene.deploy(0)
    bad = scene.deploy(1)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "active")
    row = go_back(scene)
    bad.refresh_from_db()
    assert row.status == Status.ROLLED_BACK, row.sentence
    assert "may fail" not in row.sealed.course
    assert "taken it back" not in bad.sentence
    assert not Release.objects.filter(quarantined_at__isnull=False).exists()
    again = go_back(scene)
    bad.refresh_from_db()
    assert again.status == Status.SUCCEEDED, again.sentence
    assert set(scene.runs().values()) == {"1.0.0"}
    assert bad.sentence.endswith(f"was verified on one, two, x3, and rollback {again.pk} has taken it back.")


def test_a_way_back_that_left_a_server_out_is_asked_for_again(scene: Scene) -> None:
    """As earlier versions wrote it down: the release is in quarantine, and a server runs it."""
    scene.deploy(0)
    bad = scene.deploy(1)
    go_back(scene)
    assert rollback_target(scene.home) is None
    Server.objects.filter(name="two").update(current_release=scene.releases[1])
    assert rollback_target(scene.home) == scene.releases[0]
    assert environment_statuses([scene.home])[scene.home.pk].way_back == scene.releases[0]
    row = go_back(scene)
    assert (row.status, row.release, row.rollback_of) == (Status.SUCCEEDED, scene.releases[0], bad), row.sentence
    bad.refresh_from_db()
    assert bad.sentence.endswith(f"rollback {row.pk} has taken it back.")
    assert rollback_target(scene.home) is None


@pytest.mark.parametrize("elsewhere", [False, True])
def test_deployed_again_with_a_reason_and_good_it_is_in_quarantine_no_more(scene: Scene, elsewhere: bool) -> None:
    """Unless it was taken back in another environment too, which nobody there has taken back."""
    scene.deploy(0)
    bad = scene.deploy(1)
    back = go_back(scene)
    if elsewhere:
        other = Environment.objects.exclude(pk=scene.home.pk)[0]
        Deployment.objects.create(
            environment=other,
            release=scene.releases[0],
            kind=Kind.ROLLBACK,
            status=Status.SUCCEEDED,
            rollback_of=bad,
            requested_by="x",
            reason="x",
            snapshot=back.snapshot,
            finished_at=back.finished_at,
            seal=back.seal,
        )
    again = request_deployment(
        actor=scene.actor, release=scene.releases[1], environment=scene.home, reason="It was us."
    )
    execute(again.pk)
    again.refresh_from_db()
    assert again.status == Status.SUCCEEDED, again.sentence
    assert Release.objects.get(pk=scene.releases[1].pk).quarantined is elsewhere


def test_what_was_taken_back_is_said_of_the_servers_that_went_back(scene: Scene) -> None:
    scene.add("x3")
    policy(scene, max_failures=1)
    scene.deploy(0)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "active")
    bad = scene.deploy(1)
    Server.objects.filter(name="x3").update(state=Server.State.RETIRED)
    row = go_back(scene)
    assert row.status == Status.SUCCEEDED, row.sentence
    bad.refresh_from_db()
    assert bad.sentence.endswith(f"was verified on one, x3, and rollback {row.pk} has taken it back on one; not on x3.")


@pytest.mark.parametrize("before", [True, False])
def test_what_still_runs_is_said_only_of_servers_that_were_asked(scene: Scene, before: bool) -> None:
    policy(scene, max_failures=1)
    scene.add("x3")
    Server.objects.filter(name="x3").update(current_release=scene.releases[0] if before else None)
    scene.hosts["x3"].refuses = True
    row = scene.deploy(1)
    assert row.status == Status.SUCCEEDED, row.sentence
    assert "still does" not in row.sentence
    assert " Not on x3, which the policy allows: what runs there now was not looked at. x3: " in row.sentence


def test_where_nothing_ran_nothing_is_said_to_run_still(scene: Scene) -> None:
    policy(scene, max_failures=1)
    scene.hosts["two"].machine.next_starts(UNIT, "failed", "failed")
    row = scene.deploy(0)
    assert targets(row) == {"one": "succeeded", "two": "reverted"}, row.sentence
    assert " Not on two, which the policy allows: nothing ran there before. two: " in row.sentence


def test_not_every_server_is_said_to_run_what_it_ran_where_one_was_not_reached(scene: Scene) -> None:
    scene.deploy(0)
    scene.add("x3")
    scene.hosts["x3"].refuses = True
    row = scene.deploy(1)
    assert row.status == Status.ROLLED_BACK, row.sentence
    assert row.sentence.endswith("Every other server runs what it ran before; what x3 runs now was not looked at.")
