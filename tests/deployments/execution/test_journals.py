"""What tests of whole fleets hold the record against: a server's own journal."""

import pytest

from deployments.lifecycle import TargetStatus
from deployments.models import Target
from tests.deployments.execution.conftest import Scene
from tests.fixtures.journals import untruths

JOURNAL = ".deploy/journal.jsonl"


@pytest.fixture
def target(scene: Scene) -> Target:
    """Of a server that was verified."""
    return scene.deploy().targets.select_related("deployment__release").get(server__name="one")


def test_a_true_record_is_let_pass(scene: Scene, target: Target) -> None:
    host = scene.hosts["one"]
    assert untruths(target, (host.root / JOURNAL).read_text(), host.current or "") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": TargetStatus.REVERTED}, ["it tells (", "and it is reverted with"]),
        ({"sentence": "The server is back on 0.9.0-abc."}, ["it tells (", "and it says"]),
    ],
)
def test_a_record_that_says_something_else_is_named(
    scene: Scene, target: Target, changed: dict[str, str], said: list[str]
) -> None:
    for name, value in changed.items():
        setattr(target, name, value)
    host = scene.hosts["one"]
    found = untruths(target, (host.root / JOURNAL).read_text(), host.current or "")
    assert [words in sentence for words, sentence in zip(said, found, strict=True)] == [True, True], found


def test_what_was_done_twice_and_what_was_never_heard_of_are_named(scene: Scene, target: Target) -> None:
    host = scene.hosts["one"]
    journal, current = (host.root / JOURNAL).read_text(), host.current or ""
    assert "restart was begun 2 times" in untruths(target, journal * 2, current)
    assert untruths(target, "", current) == ["it is succeeded (verified), and tells of no end"]
