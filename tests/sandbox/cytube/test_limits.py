"""The two brakes, moved by hand."""

import pytest

from sandbox.cytube import ManualClock
from sandbox.cytube.limits import Rate, RateLimiter, Throttle

CHAT = Rate(burst=20, sustained=10)


def uses(limiter: RateLimiter, rate: Rate, count: int) -> int:
    return sum(not limiter.refuses(rate) for _ in range(count))


def test_a_burst_passes_and_the_rest_is_refused(clock: ManualClock) -> None:
    assert uses(RateLimiter(clock), CHAT, 30) == 20


def test_after_the_burst_uses_pass_at_the_sustained_rate(clock: ManualClock) -> None:
    limiter = RateLimiter(clock)
    uses(limiter, CHAT, 20)
    passed = 0
    for _ in range(100):
        clock.advance(0.01)
        passed += not limiter.refuses(CHAT)
    assert passed in (9, 10)


def test_silence_restores_the_whole_burst_and_less_restores_nothing(clock: ManualClock) -> None:
    limiter = RateLimiter(clock)
    uses(limiter, CHAT, 20)
    clock.advance(CHAT.silence - 0.1)
    assert uses(limiter, CHAT, 20) == 1
    clock.advance(CHAT.silence + 0.1)
    assert uses(limiter, CHAT, 30) == 20


def test_a_refused_use_does_not_prolong_the_wait(clock: ManualClock) -> None:
    connections = Rate(burst=5, sustained=0.1)
    limiter = RateLimiter(clock)
    uses(limiter, connections, 5)
    for _ in range(3):
        clock.advance(3)
        assert limiter.refuses(connections)
    clock.advance(3)
    assert not limiter.refuses(connections)


def test_an_explicit_cooldown_wins() -> None:
    assert (Rate(4, 1, 9).silence, Rate(4, 1).silence, CHAT.wait_ms) == (9, 4, 100)


@pytest.fixture
def ran(clock: ManualClock) -> list[float]:
    return []


@pytest.fixture
def throttle(clock: ManualClock, ran: list[float]) -> Throttle:
    return Throttle(clock, 10, lambda: ran.append(round(clock.monotonic(), 3)))


def test_a_request_after_quiet_runs_at_once_and_more_run_once_at_the_end(
    clock: ManualClock, throttle: Throttle, ran: list[float]
) -> None:
    for _ in range(5):
        throttle.request()
        clock.advance(1)
    assert ran == [0]
    clock.advance(60)
    assert ran == [0, 10]


def test_a_single_request_is_not_repeated(clock: ManualClock, throttle: Throttle, ran: list[float]) -> None:
    throttle.request()
    clock.advance(60)
    assert ran == [0]


def test_requests_that_never_stop_run_every_interval(clock: ManualClock, throttle: Throttle, ran: list[float]) -> None:
    for _ in range(79):
        throttle.request()
        clock.advance(0.5)
    assert ran == [0, 10, 20, 30]


def test_a_cancelled_throttle_owes_nothing(clock: ManualClock, throttle: Throttle, ran: list[float]) -> None:
    throttle.request()
    throttle.request()
    throttle.cancel()
    clock.advance(15)
    assert ran == [0]


def test_a_cancelled_throttle_is_as_new(clock: ManualClock, throttle: Throttle, ran: list[float]) -> None:
    throttle.request()
    clock.advance(1)
    throttle.cancel()
    throttle.request()
    assert ran == [0, 1]


def test_a_manual_clock_runs_calls_in_order_of_time(clock: ManualClock) -> None:
    order: list[str] = []
    clock.call_later(2, lambda: order.append("late"))
    clock.call_later(1, lambda: order.append("early"))
    clock.call_later(1, lambda: order.append("early too"))
    clock.call_later(1, lambda: order.append("never")).cancel()
    clock.advance(3)
    assert order == ["early", "early too", "late"]
