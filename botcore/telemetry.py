"""What is counted: plain numbers, written by the event loop's thread only and read by any thread."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from dataclasses import dataclass, field

# Seconds; the promise is that 99 of 100 events are handled within 5 ms.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TICK_SECONDS = 0.1


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound; the last bucket has none."""

    bounds: tuple[float, ...] = LATENCY_BUCKETS
    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


@dataclass(slots=True)
class Telemetry:
    """Everything since the process started. `requests` and `errors` only ever grow."""

    started: float = field(default_factory=time.monotonic)
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    commands: Counter[tuple[str, str]] = field(default_factory=Counter)
    sessions: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    heartbeats: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    last_tick: float = field(default_factory=time.monotonic)

    @property
    def uptime(self) -> float:
        """Seconds since the process started."""
        return time.monotonic() - self.started

    @property
    def error_count(self) -> int:
        """Failed chat commands and exceptions in handlers."""
        return sum(list(self.errors.values()))

    @property
    def loop_lag(self) -> float:
        """Seconds by which the event loop is late now; it grows while the loop is stuck."""
        return max(0.0, time.monotonic() - self.last_tick - TICK_SECONDS)

    def tick(self) -> None:
        """The event loop turned."""
        self.last_tick = time.monotonic()

    def failed(self, kind: str) -> None:
        """A chat command or a handler failed."""
        self.errors[kind] += 1
