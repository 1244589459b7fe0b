"""Whose turn it is among the rescue workers: no environment's trouble takes all of them from a protected one."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deployments.execution.rescue import CANCELLATION, EXECUTION, SETTLING, WORKERS, turn
from deployments.lifecycle import Kind, Status
from deployments.models import Deployment, Environment
from tests.deployments.conftest import artifacts, quick, world
from tests.deployments.world import World

__all__ = ["artifacts", "quick", "world"]


def lost(world: World, environment: str = "test", kind: Kind = Kind.ROLLBACK) -> int:
    """The number of one that somebody looks after."""
    home = Environment.objects.get(name=environment)
    now = timezone.now()
    row = Deployment.objects.create(
        environment=home, release=world.releases[0], kind=kind, status=Status.INTERRUPTED, finished_at=now
    )
    return row.pk


def test_a_deployment_that_is_no_rollback_is_others_work(world: World, state_dir: Path) -> None:
    number = lost(world, kind=Kind.DEPLOYMENT)
    with turn(number, EXECUTION) as first, turn(number, EXECUTION) as second, turn(number + 1, SETTLING) as unknown:
        assert (first, second, unknown) == (True, True, True)
        assert not (state_dir / "rescue").exists()


def test_one_deployment_has_one_worker_for_each_kind_of_work(world: World, state_dir: Path) -> None:
    number = lost(world, "production")
    with turn(number, EXECUTION) as ours:
        assert ours
        room = state_dir / "rescue"  # where every worker of this machine looks, of the release before this one too
        held = room / f"{world.production.pk}.{number}.execution"
        assert held.exists()
        assert room.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (held, room / "gate")} == {0o600}
        with turn(number, EXECUTION) as again, turn(number, CANCELLATION) as ending:
            assert (again, ending) == (False, True)
        assert held.exists(), "who was turned away takes nothing away"
    assert not held.exists()
    with turn(number, EXECUTION) as later:
        assert later


def test_a_settling_of_any_deployment_takes_a_turn(world: World) -> None:
    number = lost(world, kind=Kind.DEPLOYMENT)
    with turn(number, SETTLING) as ours, turn(number, SETTLING) as again:
        assert (ours, again) == (True, False)


def test_the_last_worker_is_kept_for_a_protected_environment(world: World) -> None:
    assert WORKERS > 2
    with ExitStack() as others:
        for _ in range(WORKERS - 1):
            assert others.enter_context(turn(lost(world), SETTLING))
        with turn(lost(world), SETTLING) as one_more:
            assert not one_more
        with turn(lost(world, "production"), EXECUTION) as way_back:
            assert way_back
            with turn(lost(world, "production"), SETTLING) as second:
                assert not second, "there are no more of them"


def test_a_protected_environment_has_one_kept_for_it_and_no_more(world: World) -> None:
    """Another protected one comes into its own, too."""
    other = Environment.objects.create(name="staging", approvals_required=1)
    with ExitStack() as busy:
        for _ in range(WORKERS - 1):
            assert busy.enter_context(turn(lost(world, "production"), SETTLING))
        with turn(lost(world, "production"), SETTLING) as greedy, turn(lost(world, "test"), SETTLING) as open_one:
            assert (greedy, open_one) == (False, False)
        with turn(lost(world, other.name), EXECUTION) as way_back:
            assert way_back
    with ExitStack() as busy:
        for _ in range(WORKERS - 2):
            assert busy.enter_context(turn(lost(world, "test"), SETTLING)), "one is kept for each of the two"
        with turn(lost(world, "test"), SETTLING) as one_more:
            assert not one_more


def test_a_turn_of_a_process_that_died_is_nobodys(world: World, state_dir: Path) -> None:
    room = state_dir / "rescue"
    room.mkdir()
    for number in range(WORKERS):
        (room / f"{world.test.pk}.{number}.settling").touch()
    number = lost(world)
    dead = room / f"{world.test.pk}.{number}.settling"
    dead.touch()
    with turn(number, SETTLING) as ours:
        assert ours
        assert [path.name for path in room.glob("*.*.*")] == [dead.name]


def test_whatever_becomes_of_the_work_the_turn_ends(world: World) -> None:
    number = lost(world)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ZeroDivisionError), turn(number, SETTLING):
        raise ZeroDivisionError
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with turn(number, SETTLING) as ours:
        assert ours


def test_looking_at_what_dead_ones_left_keeps_nothing_open(world: World, state_dir: Path) -> None:
    room = state_dir / "rescue"
    with turn(lost(world), SETTLING):
        (room / f"{world.production.pk}.7.settling").touch()
        before = {path.name for path in Path("/proc/self/fd").iterdir()}
        with turn(lost(world), SETTLING) as second:
            assert second
        assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def test_a_turn_whose_file_somebody_took_away_ends_like_any(world: World, state_dir: Path) -> None:
    number, before = lost(world), {path.name for path in Path("/proc/self/fd").iterdir()}
    with turn(number, SETTLING):
        (state_dir / "rescue" / f"{world.test.pk}.{number}.settling").unlink()
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def test_the_first_one_of_a_machine_makes_the_room(world: World, state_dir: Path, settings: Any) -> None:
    settings.STATE_DIR = state_dir / "of" / "a new machine"
    with turn(lost(world), SETTLING) as ours:
        assert ours
    assert (settings.STATE_DIR / "rescue" / "gate").exists()
