"""What is counted: plain numbers, written by the event loop's thread only and read by any thread."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from dataclasses import dataclass, field

# Seconds; the promise is that 99 of 100 events are handled within 5 ms.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
# Seconds; a local CyTube answers in 2 ms, a far one in 200, and a busy one was seen to take 2.6 s.
RESPONSE_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# The latest answers, ten minutes of them, from which percentiles are told to people.
ANSWERS_KEPT = 20
TICK_SECONDS = 0.1


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound; the last bucket has none."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

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
    latency: Histogram = field(default_factory=lambda: Histogram(LATENCY_BUCKETS))
    responses: Histogram = field(default_factory=lambda: Histogram(RESPONSE_BUCKETS))
    latest_responses: tuple[float, ...] = ()
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

    def answered(self, seconds: float) -> None:
        """CyTube answered the periodic question."""
        self.responses.observe(seconds)
        self.latest_responses = (*self.latest_responses[1 - ANSWERS_KEPT :], seconds)

    def response(self, share: float) -> float | None:
        """Seconds within which CyTube gave this share of its latest answers; None before the first."""
        latest = sorted(self.latest_responses)
        return latest[min(len(latest) - 1, int(share * len(latest)))] if latest else None

    def tick(self) -> None:
        """The event loop turned."""
        self.last_tick = time.monotonic()

    def failed(self, kind: str) -> None:
        """A chat command or a handler failed."""
        self.errors[kind] += 1
