"""How long the bot waits, and when it forgets."""

from __future__ import annotations

import itertools
import random

import pytest

from botcore import errors
from botcore.cytube.backoff import NETWORK, PACES, Backoff, Pace


def delays(kind: type[errors.SessionError], count: int, stood: float = 0.0) -> list[float]:
    backoff = Backoff(rng=random.Random(1))
    return [backoff.after(kind("x"), stood=stood) for _ in range(count)]


def test_a_lost_connection_is_tried_at_once_and_then_ever_more_rarely() -> None:
    waits = delays(errors.Unreachable, 12)
    assert waits[0] <= 0.5
    assert all(later > earlier for earlier, later in itertools.pairwise(waits[:5]))
    assert all(NETWORK.cap * 2 / 3 <= wait <= NETWORK.cap for wait in waits[7:])


def test_bots_do_not_return_in_step() -> None:
    assert len({Backoff().after(errors.Unreachable("x")) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (errors.Kicked, 3),
        (errors.DuplicateLogin, 40),
        (errors.Banned, 200),
        (errors.LoginRefused, 200),
        (errors.NameTaken, 60),
        (errors.ChannelRefused, 40),
        (errors.RateLimited, 10),
    ],
)
def test_what_a_person_has_to_solve_is_not_hurried(kind: type[errors.SessionError], least: float) -> None:
    waits = delays(kind, 20)
    assert min(waits) >= least
    assert max(waits) <= PACES[kind].cap
    assert sum(1 for _ in waits) == 20


def test_a_wrong_password_makes_at_most_a_handful_of_attempts_an_hour() -> None:
    waits, total = delays(errors.LoginRefused, 20), 0.0
    attempts = 0
    for wait in waits:
        total += wait
        if total > 3600:
            break
        attempts += 1
    assert attempts <= 5


def test_after_a_stable_stay_the_first_delay_is_short_again() -> None:
    backoff = Backoff({errors.Unreachable: Pace(1, 60, stable=30)})
    for _ in range(5):
        backoff.after(errors.Unreachable("x"))
    assert backoff.after(errors.Unreachable("x"), stood=29) > 15
    assert backoff.after(errors.Unreachable("x"), stood=31) <= 1


def test_kinds_are_counted_apart() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(errors.Banned("x"))
    assert backoff.after(errors.Unreachable("x")) <= 0.5


def test_every_kind_of_refusal_has_a_pace() -> None:
    def kinds(base: type[errors.SessionError]) -> set[type[errors.SessionError]]:
        return {base, *(kind for child in base.__subclasses__() for kind in kinds(child))}

    for kind in kinds(errors.SessionError) - {errors.SessionError}:
        assert any(parent in PACES for parent in kind.__mro__), kind
