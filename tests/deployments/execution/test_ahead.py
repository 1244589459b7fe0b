"""The servers of the next round come up while this one is verified, and nothing is asked of them before their turn."""

import threading
import time
from collections.abc import Callable

import pytest

from deployments.core import sessions
from deployments.lifecycle import Status
from engine.ssh import session
from tests.deployments.execution.conftest import UNIT, Scene
from tests.deployments.execution.test_rounds import policy, targets
from tests.fixtures.scripted_server import ScriptedHost, until


def while_verifying(scene: Scene, act: Callable[[], object]) -> list[str]:
    """Once the canary is being verified, `act` comes before anything else that it says; what was done."""
    canary, done, since = scene.hosts["one"], list[str](), list[float]()
    canary.watched = 1.5

    def hold(verb: str, said: int) -> bool:
        if verb == "run" and b'"step":"verify","state":"begin"' in canary.journal:
            since.append(time.monotonic())
            if not done and since[-1] - since[0] > canary.watched / 2:  # that it began has been passed on
                act()
                done.append("acted")
        return False

    canary.cuts = hold
    return done


def lies_there(host: ScriptedHost) -> dict[str, bytes]:
    """Every file of its tree, but what Python compiled."""
    files = [path for path in host.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(host.root)): path.read_bytes() for path in files}


def begin_with(scene: Scene, *names: str) -> list[ScriptedHost]:
    """The first release runs everywhere, and nothing was asked since; these servers."""
    scene.deploy(0)
    for host in scene.hosts.values():
        host.asked.clear()
    return [scene.hosts[name] for name in names]


def stands(host: ScriptedHost) -> bool:
    """Whether this process knows of a connection to it."""
    return any(kept.alive for kept, _ in list(sessions._WARM._idle.values()) if kept.address.port == host.port)


def come(*hosts: ScriptedHost) -> None:
    """Wait until an agent for a run was started on each."""
    until(lambda: all("run" in host.asked for host in hosts))


def test_the_agents_of_the_next_round_come_up_while_the_canary_is_verified(scene: Scene) -> None:
    scene.add("x3", "x4")
    policy(scene, batch=2)
    two, x3, x4 = begin_with(scene, "two", "x3", "x4")

    def act() -> None:
        come(two, x3)
        assert x4.asked == [], "it is of the round after the next"

    done = while_verifying(scene, act)
    row = scene.deploy(1)
    assert row.status == Status.SUCCEEDED, row.sentence
    assert done == ["acted"]
    assert [host.asked for host in (two, x3, x4)] == [["run"]] * 3, "what has come up is what is asked"
    finished = row.targets.get(server__name="one").finished_at
    others = row.targets.exclude(server__name="one")
    assert finished is not None
    assert all(target.started_at is not None and target.started_at >= finished for target in others)


def test_what_has_come_up_and_is_not_asked_has_done_nothing(scene: Scene) -> None:
    one, two = begin_with(scene, "one", "two")
    before, one.watched = lies_there(two), 3.0

    def fail() -> None:
        come(two)
        one.machine.unit(UNIT, ActiveState="failed", SubState="failed")

    failing = threading.Thread(target=fail)
    failing.start()
    row = scene.deploy(1)
    failing.join()
    assert targets(row) == {"one": "reverted", "two": "skipped"}
    assert row.status == Status.ROLLED_BACK, row.sentence
    assert two.asked == ["run"], "nothing else was asked of it"
    assert lies_there(two) == before
    one.watched = 0.01
    assert scene.deploy(1).status == Status.SUCCEEDED, "nothing holds a lock there"


def test_what_came_up_long_before_its_turn_is_not_relied_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    (two,) = begin_with(scene, "two")

    def act() -> None:
        come(two)
        monkeypatch.setattr(session, "_NOT_LONG_AGO", 0.0)

    while_verifying(scene, act)
    row = scene.deploy(1)
    assert row.status == Status.SUCCEEDED, row.sentence
    assert len(two.asked) > 1, "the one that waited was not asked"


@pytest.mark.parametrize("lost", ["refused", "cut"])
def test_what_is_lost_before_its_turn_is_tried_again_at_its_turn(scene: Scene, lost: str) -> None:
    (two,) = begin_with(scene, "two")

    def act() -> None:
        if lost == "cut":
            come(two)
            two.cut()
            until(lambda: not stands(two))
        two.refuses = False

    two.refuses = lost == "refused"
    if two.refuses:
        two.cut()  # the connection that is kept goes too
    done = while_verifying(scene, act)
    row = scene.deploy(1)
    assert done == ["acted"]
    assert row.status == Status.SUCCEEDED, row.sentence
