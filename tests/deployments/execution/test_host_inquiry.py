"""What a server is asked after a line was cut, how often, and what its answers come to; each from a real journal."""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone

from deployments.execution import host_inquiry as module
from deployments.execution.claims import Claimed, claim
from deployments.execution.host_inquiry import RUN_FENCE, Unsettled, apply_result, retry_until, settle_target
from deployments.execution.limited_sessions import HEARD
from deployments.execution.recorder import Recorder
from deployments.execution.spans import SPANS
from deployments.lifecycle import StepState, TargetStatus
from deployments.models import Environment, Secret, Step, Target
from engine.errors import PortalError
from engine.host.agent.limits import LINE_LIMIT
from engine.ssh.errors import HostKeyMismatch, HostUnreachable, LinkLost, NotRun
from tests.deployments.execution.conftest import UNIT, Scene


class Clock:
    """Time passes while somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def answers(*errors: Exception | None) -> Callable[[], None]:
    left = list(errors)

    def ask() -> None:
        if error := left.pop(0):
            raise error

    return ask


CUT, AT_WORK = LinkLost("the line was cut"), Unsettled("it works", working=True)


def test_a_cut_line_is_tried_again_sooner_or_later_until_there_is_an_answer(clock: Clock) -> None:
    retry_until(answers(CUT, AT_WORK, HostUnreachable("nobody there"), None), timeout=60.0)
    assert clock.slept == [2.0, 0.5, 2.0], "one that works is asked again soon"


@pytest.mark.parametrize(
    ("error", "timeout", "asked"), [(CUT, 0.0, 1), (CUT, 1.9, 1), (CUT, 2.0, 2), (CUT, 5.9, 3), (AT_WORK, 1.0, 3)]
)
def test_nobody_waits_longer_than_there_is_time(clock: Clock, error: Exception, timeout: float, asked: int) -> None:
    with pytest.raises(Unsettled, match=str(error)) as raised:
        retry_until(answers(*[error] * asked, AssertionError("once too often")), timeout=timeout)
    assert len(clock.slept) == asked - 1
    assert raised.value.working is (error is AT_WORK)
    assert raised.value.final == ""


@pytest.mark.parametrize(
    ("error", "final"),
    [(NotRun("x", "rosey", "no"), "not_run"), (HostKeyMismatch("x", pinned="a", shown="b"), "")],
)
def test_what_asking_again_cannot_change_is_said_at_once(clock: Clock, error: PortalError, final: str) -> None:
    with pytest.raises(Unsettled) as raised:
        retry_until(answers(error), timeout=60.0)
    assert str(raised.value) == str(error)
    assert (raised.value.working, raised.value.final, clock.slept) == (False, final, [])


@pytest.fixture
def held(scene: Scene) -> tuple[Claimed, Target]:
    """A deployment of the second release that a worker has, sent to the first server; the first release runs there."""
    scene.deploy(0)
    claimed = claim(scene.ask(1).pk)
    assert claimed is not None
    target = claimed.deployment.targets.select_related("server").get(server__name="one")
    target.facts, target.status = {RUN_FENCE: claimed.deployment.fence}, TargetStatus.RUNNING
    target.save()
    return claimed, target


def ask(held: tuple[Claimed, Target]) -> Target:
    claimed, target = held
    with Recorder(claimed.deployment, claimed.token) as recorder:
        settle_target(claimed, target, recorder, timeout=0.0)
    return Target.objects.get(pk=target.pk)


def tells(scene: Scene, held: tuple[Claimed, Target], *records: dict[str, Any], fence: int | None = None) -> None:
    """The journal of the first server has these records of a run with our number, and by default our fence."""
    number, ours = str(held[0].deployment.pk), held[0].deployment.fence
    with (scene.hosts["one"].root / ".deploy" / "journal.jsonl").open("a") as journal:
        for seq, record in enumerate(records, 1001):
            usual = {
                "kind": record["kind"],
                "seq": seq,
                "deployment": number,
                "fence": ours if fence is None else fence,
            }
            journal.write(json.dumps({**usual, **record}, separators=(",", ":")) + "\n")


@contextmanager
def at_work(scene: Scene, **owner: object) -> Iterator[None]:
    """Somebody holds the lock of the first server."""
    path = scene.hosts["one"].root / ".deploy" / "lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps(owner))
        lock.flush()
        yield


STAGED = [
    {"kind": "step", "step": "stage", "state": state, "at": "2026-01-01T00:00:00+00:00"} for state in ("begin", "ok")
]


def test_one_that_still_works_on_it_is_not_done_and_tells_what_it_did(
    scene: Scene, held: tuple[Claimed, Target]
) -> None:
    number, fence = str(held[0].deployment.pk), held[0].deployment.fence
    tells(scene, held, *STAGED)
    with at_work(scene, deployment=number, fence=fence), pytest.raises(Unsettled) as raised:
        ask(held)
    assert str(raised.value) == f"one still works on deployment {number}."
    assert raised.value.working
    assert [(step.name, step.state) for step in Step.objects.filter(target=held[1])] == [("stage", "ok")]
    assert Target.objects.get(pk=held[1].pk).status == TargetStatus.RUNNING


@pytest.mark.parametrize("owner", [{"fence": 99}, {"deployment": "99"}], ids=["another portal's", "another number"])
def test_one_that_works_on_something_else_after_it_had_begun_ours_is_busy(
    scene: Scene, held: tuple[Claimed, Target], owner: dict[str, Any]
) -> None:
    ours = {"deployment": str(held[0].deployment.pk), "fence": held[0].deployment.fence}
    tells(scene, held, *STAGED)
    with at_work(scene, **{**ours, **owner}), pytest.raises(Unsettled) as raised:
        ask(held)
    assert (str(raised.value), raised.value.working) == ("Another deployment runs on one.", True)


def test_one_whose_journal_does_not_tell_the_end_needs_a_person(scene: Scene, held: tuple[Claimed, Target]) -> None:
    tells(scene, held, *STAGED)
    target = ask(held)
    assert (target.status, target.outcome) == (TargetStatus.INTERRUPTED, "no_result")
    number = held[0].deployment.pk
    assert target.sentence == f"one began deployment {number} and its journal does not tell how it ended."
    assert target.facts[RUN_FENCE] == held[0].deployment.fence


def test_the_last_word_of_the_journal_counts(scene: Scene, held: tuple[Claimed, Target]) -> None:
    first = {"kind": "result", "status": "succeeded", "reason": "verified", "sentence": "It runs.", "facts": {}}
    last = {**first, "status": "reverted", "reason": "reverted_on_request", "sentence": "It went back."}
    tells(scene, held, *STAGED, first, last)
    target = ask(held)
    assert (target.status, target.outcome, target.sentence) == ("reverted", "reverted_on_request", "It went back.")
    assert "revert" not in scene.hosts["one"].asked


def test_what_another_portal_did_under_our_number_says_nothing_about_ours(
    scene: Scene, held: tuple[Claimed, Target]
) -> None:
    fence = held[0].deployment.fence
    assert fence is not None
    said = {"kind": "result", "status": "succeeded", "reason": "verified", "sentence": "It runs.", "facts": {}}
    tells(scene, held, *STAGED, said, fence=fence + 1000)
    target = ask(held)
    assert (target.status, target.outcome) == (TargetStatus.FAILED, "not_started")
    assert target.sentence == "Nothing was begun on one: it runs what it ran before."
    assert not Step.objects.filter(target=target).exists()
    raised = Environment.objects.get(pk=scene.home.pk).fence
    assert json.loads((scene.hosts["one"].root / ".deploy" / "fence").read_text())[0] == raised == fence + 1
    held[0].deployment.refresh_from_db()
    assert held[0].deployment.fence == raised


def test_who_has_lost_it_meanwhile_outdates_nothing(scene: Scene, held: tuple[Claimed, Target]) -> None:
    claimed, target = held
    type(claimed.deployment).objects.filter(pk=claimed.deployment.pk).update(claim=None)
    with pytest.raises(Unsettled, match="Another worker has taken over"):
        ask(held)
    assert "revert" not in scene.hosts["one"].asked
    assert Target.objects.get(pk=target.pk).status == TargetStatus.RUNNING


BOOTED = {
    "kind": "result",
    "status": "reverted",
    "reason": "agent_died",
    "sentence": "The server is back on 1.0.0.",
    "facts": {"boot": True},
}


@pytest.mark.parametrize("well", [True, False])
def test_after_a_boot_that_took_it_back_what_ran_before_is_looked_at(
    scene: Scene, held: tuple[Claimed, Target], well: bool
) -> None:
    host = scene.hosts["one"]
    runs = [json.loads(line) for line in (host.root / ".deploy" / "journal.jsonl").read_text().splitlines()]
    last = {each["kind"]: each for each in runs if each["kind"] in ("run", "before")}
    before = {**last["before"], "units": {UNIT: {"active": "active", "pid": 0}}, "current": host.current}
    told = [
        {name: value for name, value in each.items() if name not in ("seq", "deployment", "fence")}
        for each in (last["run"], before)
    ]
    tells(scene, held, *told, BOOTED)
    if not well:
        host.machine.unit(UNIT, ActiveState="failed", SubState="failed", Result="exit-code", MainPID="0")
    target = ask(held)
    if well:
        assert (target.status, target.outcome, target.sentence) == ("reverted", "agent_died", BOOTED["sentence"])
    else:
        assert (target.status, target.outcome) == (TargetStatus.INTERRUPTED, "not_restored")
        assert target.sentence.startswith(f"{BOOTED['sentence']} What ran before did not come up again: {UNIT}")


def test_a_result_is_stored_masked_and_within_bounds_with_what_is_ours(held: tuple[Claimed, Target]) -> None:
    claimed, target = held
    Secret.objects.create(environment=claimed.deployment.environment, name="token", value="correct horse", version=1)
    target.facts = {RUN_FENCE: 7, HEARD: [10, 1], SPANS: {"connects": 0.5}, "told": "by the server, earlier"}
    said = f"correct horse {'x' * LINE_LIMIT}"
    with Recorder(claimed.deployment, claimed.token) as recorder:
        told = {"status": "odd", "reason": "r" * 100, "sentence": said, "facts": {"a": "correct horse", RUN_FENCE: 99}}
        apply_result(target, told, recorder, claimed.token)
    row = Target.objects.get(pk=target.pk)
    assert (row.status, row.outcome) == (TargetStatus.INTERRUPTED, "r" * 60)
    assert row.sentence == f"[secret token] {'x' * (LINE_LIMIT - len('correct horse '))}"
    assert row.facts == {"a": "[secret token]", RUN_FENCE: 7, HEARD: [10, 1], SPANS: {"connects": 0.5}}
    assert row.finished_at is not None


@pytest.mark.parametrize("seq", [3, 9])
def test_a_result_ends_the_steps_of_its_server_whatever_its_number(held: tuple[Claimed, Target], seq: int) -> None:
    """It may come twice, or have the number of a line that came live; the next line of the journal is none of its."""
    claimed, target = held
    other = claimed.deployment.targets.get(server__name="two")
    for each in (target, other):
        each.steps.create(name="verify", state=StepState.RUNNING, started_at=timezone.now())
    claimed.deployment.targets.update(journal_seq=5)
    with Recorder(claimed.deployment, claimed.token) as recorder:
        apply_result(target, {"status": "reverted", "seq": seq}, recorder, claimed.token)
    states = dict(Step.objects.filter(name="verify", target__in=[target, other]).values_list("target", "state"))
    assert states == {target.pk: StepState.FAILED, other.pk: StepState.RUNNING}
    assert set(claimed.deployment.targets.values_list("journal_seq", flat=True)) == {5}
