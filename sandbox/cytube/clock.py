"""Time as the server sees it, so that tests can move it by hand."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that has been planned."""

    def cancel(self) -> None:
        """Forget the call; harmless when it has already run."""


class Clock(Protocol):
    """Wall time, elapsed time and planned calls. All in seconds."""

    def time(self) -> float:
        """Seconds since the epoch: what chat lines are stamped with."""

    def monotonic(self) -> float:
        """Seconds that never go back: what limits and playback are measured with."""

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Run ``call`` once, ``delay`` seconds from now."""


class LoopClock:
    """The real time of the running event loop."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay, call)


class _Planned:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class ManualClock:
    """A clock that stands still until :meth:`advance` moves it."""

    def __init__(self, start: float = 1_795_418_243.0) -> None:
        self._epoch = start
        self._now = 0.0
        self._order = itertools.count()
        self._planned: list[tuple[float, int, _Planned]] = []

    def time(self) -> float:
        return self._epoch + self._now

    def monotonic(self) -> float:
        return self._now

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        planned = _Planned(call)
        heapq.heappush(self._planned, (self._now + delay, next(self._order), planned))
        return planned

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds`` and run what falls due, in order of its time."""
        until = self._now + seconds
        while self._planned and self._planned[0][0] <= until:
            self._now, _, planned = heapq.heappop(self._planned)
            if planned.call is not None:
                planned.call()
        self._now = until
