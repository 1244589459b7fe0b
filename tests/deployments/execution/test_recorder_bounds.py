"""Whatever servers say, every column has its bounds, and of two that say too much each is cut by itself."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from deployments.execution import recorder as module
from deployments.execution.claims import Claimed
from deployments.execution.recorder import Recorder
from deployments.execution.steps import MOST_STEPS
from deployments.lifecycle import Status
from deployments.models import Deployment, LogLine, Step, Target
from engine.host.agent.limits import LINE_LIMIT
from tests.deployments.execution.test_recorder import claimed_on
from tests.deployments.world import World

AT = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def claimed(world: World) -> Claimed:
    """A deployment to two servers."""
    return claimed_on(world, "test", more=1)


def store(recorder: Recorder, *said: tuple[Target | None, dict[str, Any]]) -> None:
    recorder._store([(target, json.dumps(record)) for target, record in said])


def test_every_column_of_a_line_is_what_was_said_within_its_bounds(claimed: Claimed) -> None:
    first, _ = claimed.deployment.targets.order_by("pk")
    long = {"kind": "log", "step": "s" * 40, "stream": "stream-of-a-unit", "text": "t" * 5000, "at": AT}
    store(
        Recorder(claimed.deployment, claimed.token), (first, long), (None, {"kind": "log", "text": "short", "at": AT})
    )
    whole, plain = LogLine.objects.order_by("id")
    assert (whole.deployment, whole.target, whole.step) == (claimed.deployment, first, "s" * 30)
    assert (whole.stream, whole.text) == ("stream-of-", "t" * LINE_LIMIT)
    assert whole.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (plain.target, plain.step, plain.stream, plain.text) == (None, "", "stdout", "short")


def test_a_secret_that_lies_across_the_end_of_a_line_is_masked_whole(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(claimed.deployment, claimed.token)
    secret = "correct horse battery staple"
    monkeypatch.setattr(recorder, "mask", lambda text: text.replace(secret, "[secret]"))
    store(recorder, (None, {"kind": "log", "text": "x" * (LINE_LIMIT - 9) + secret}))
    assert LogLine.objects.get().text == "x" * (LINE_LIMIT - 9) + "[secret]"


def test_of_each_server_and_step_that_says_too_much_the_middle_is_left_out(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_HEAD", 2)
    monkeypatch.setattr(module, "LOG_TAIL", 3)
    targets = list(claimed.deployment.targets.order_by("pk"))
    recorder = Recorder(claimed.deployment, claimed.token)
    kinds = [(target, step) for target in targets for step in ("stage", "verify")]
    for number in range(1, 11):
        store(recorder, *((each, {"kind": "log", "step": step, "text": f"{step} {number}"}) for each, step in kinds))
    for target, step in kinds:
        lines = LogLine.objects.filter(target=target, step=step).order_by("id")
        assert [line.text for line in lines] == [
            f"{step} 1",
            f"{step} 2",
            "(5 lines are left out here)",
            *(f"{step} {number}" for number in (8, 9, 10)),
        ]
        assert [line.stream for line in lines] == ["stdout", "stdout", "portal", "stdout", "stdout", "stdout"]


def test_what_the_agent_left_out_is_counted_with_what_we_leave_out(
    claimed: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_HEAD", 1)
    monkeypatch.setattr(module, "LOG_TAIL", 2)
    first, _ = claimed.deployment.targets.order_by("pk")
    texts = ["one", "two", "(40 lines are left out here)", "three", "4 lines are left out here)", "five", "six"]
    store(
        Recorder(claimed.deployment, claimed.token),
        *((first, {"kind": "log", "step": "stage", "text": text}) for text in texts),
    )
    said = list(LogLine.objects.order_by("id").values_list("text", flat=True))
    assert said == ["one", "(43 lines are left out here)", "five", "six"]


def test_lines_of_steps_beyond_the_first_ones_belong_to_none(claimed: Claimed) -> None:
    first, other = claimed.deployment.targets.order_by("pk")
    recorder = Recorder(claimed.deployment, claimed.token)
    for number in range(MOST_STEPS + 2):
        store(recorder, (first, {"kind": "log", "step": f"s{number:03}", "text": "x"}))
        store(recorder, (first, {"kind": "step", "step": f"s{number:03}", "state": "begin"}))
    store(recorder, (other, {"kind": "log", "step": "s999", "text": "x"}))
    steps = list(LogLine.objects.filter(target=first).order_by("id").values_list("step", flat=True))
    assert steps == [*(f"s{number:03}" for number in range(MOST_STEPS)), "", ""]
    assert Step.objects.filter(target=first).count() == MOST_STEPS
    assert LogLine.objects.get(target=other).step == "s999"


@pytest.mark.parametrize("why", ["not the last server", "another step", "its end", "somebody elses"])
def test_a_deployment_is_verified_by_who_has_it_and_when_its_last_server_is(claimed: Claimed, why: str) -> None:
    first, last = claimed.deployment.targets.order_by("pk")
    token = uuid4() if why == "somebody elses" else claimed.token
    record = {
        "kind": "step",
        "step": "verifying" if why == "another step" else "verify",
        "state": "ok" if why == "its end" else "begin",
    }
    store(Recorder(claimed.deployment, token), (first if why == "not the last server" else last, record))
    assert Deployment.objects.get(pk=claimed.deployment.pk).status == Status.RUNNING
    store(Recorder(claimed.deployment, claimed.token), (last, {"kind": "step", "step": "verify", "state": "begin"}))
    assert Deployment.objects.get(pk=claimed.deployment.pk).status == Status.VERIFYING


def test_a_result_closes_the_steps_of_its_own_server(claimed: Claimed) -> None:
    first, other = claimed.deployment.targets.order_by("pk")
    recorder = Recorder(claimed.deployment, claimed.token)
    begins = {"kind": "step", "step": "stage", "state": "begin"}
    store(recorder, (first, begins), (other, begins))
    store(recorder, (first, {"kind": "result"}), (None, {"kind": "result"}))
    assert dict(Step.objects.values_list("target", "state")) == {first.pk: "failed", other.pk: "running"}
