"""How many files a reader of the three central verbs turns to; a limit rises only with what a verb does more."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from deployments.execution.run import execute
from deployments.requests.approvals import approve
from deployments.requests.requests import request_deployment
from deployments.requests.snapshots import take_snapshot
from tests.deployments.execution.conftest import Scene, releases, scene
from tests.deployments.world import World

__all__ = ["releases", "scene"]
ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(f"{ROOT / room}/" for room in ("deployments", "engine", "alerting", "dashboard", "portal"))
NOBODY_TURNS_TO = ("/models/", "/core/clock.py")
"""A record's own words, and the time on PostgreSQL."""


def hops(verb: Callable[[], object]) -> Counter[tuple[str, str]]:
    """Calls from a function of one file of ours into another file of ours, in this thread, by (from, to)."""
    found: Counter[tuple[str, str]] = Counter()

    def heard(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_back is None:
            return
        into, out_of = frame.f_code.co_filename, frame.f_back.f_code.co_filename
        if into == out_of or not into.startswith(OURS) or not out_of.startswith(OURS):
            return
        if not any(file in into for file in NOBODY_TURNS_TO):
            found[out_of.removeprefix(f"{ROOT}/"), into.removeprefix(f"{ROOT}/")] += 1

    sys.setprofile(heard)
    try:
        verb()
    finally:
        sys.setprofile(None)
    return found


def told(name: str, found: Counter[tuple[str, str]], *, different: int, total: int) -> None:
    print(f"{name}: {found.total()} hops, {len(found)} different ones")
    edges = "\n".join(f"{times:4} {a} → {b}" for (a, b), times in found.most_common())
    assert len(found) <= different, edges
    assert found.total() <= total, edges


def test_asking_for_a_deployment(world: World) -> None:
    actor, release, environment = world.people["colleague"], world.releases[1], world.production
    take_snapshot(environment=environment, release=release)  # its rules are looked at once in a process
    found = hops(lambda: request_deployment(actor=actor, release=release, environment=environment, reason="because"))
    told("request_deployment", found, different=30, total=38)


def test_approving_one(world: World) -> None:
    row = world.request()
    found = hops(lambda: approve(actor=world.people["approver"], deployment=row, comment="fine"))
    told("approve", found, different=44, total=58)


@pytest.mark.django_db(transaction=True)
def test_carrying_one_out_on_two_servers(scene: Scene) -> None:
    row = scene.ask()
    found = hops(lambda: execute(row.pk))
    told("execute", found, different=105, total=360)  # an agent that is slow says more often that it lives
