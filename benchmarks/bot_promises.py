"""What a day of the bot has to keep: each promise with what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.bot_latency import Quiet
from botcore.telemetry import Telemetry

EVENTS = 1_000_000
RECONNECTS = 200
SCRAPES_PER_SECOND = 50
GROWTH_LIMIT_MB = 10.0
# In the second half of a day; half a day at least, because one step of the allocator is more than a megabyte.
HOURLY_LIMIT_MB = 0.5
SHORTEST_DAY = 0.5
DAY_SECONDS = 86_400
LATENCY_LIMIT_MS = 5.0
# The share of all lines that must have been said in undisturbed seconds.
ENOUGH = 0.1
# How a chat command may fail here: the connection was broken under it, or took the echo of what was said with it.
BROKEN = frozenset({"unreachable", "not_sent", "unanswered"})


@dataclass(frozen=True)
class Promise:
    """One line of the table."""

    what: str
    measured: str
    wanted: str
    kept: bool


@dataclass(frozen=True)
class Memory:
    """MB after the warm-up, at half of the day and at its end."""

    warm: float
    half: float
    end: float


@dataclass(frozen=True)
class Day:
    """What was measured."""

    seconds: float
    events: int
    latency: Quiet
    memory: Memory
    tasks_left: list[str]
    scrapes: dict[str, float]
    state_true: bool
    telemetry: Telemetry
    scale: float

    @property
    def sessions(self) -> int:
        """How often it joined."""
        return self.telemetry.sessions

    def promises(self) -> list[Promise]:
        """What the design says, and what was seen."""
        return [*self._load(), *self._memory(), *self._latency(), *self._behaviour()]

    def _load(self) -> list[Promise]:
        events, reconnects = EVENTS * self.scale, RECONNECTS * self.scale
        measured = f"{self.events:,} in {self.seconds:.0f} s"
        return [
            Promise("events", measured, f">= {events:,.0f}", self.events >= events),
            Promise("reconnects", f"{self.sessions - 1}", f"{reconnects:.0f}", self.sessions - 1 >= reconnects),
        ]

    def _memory(self) -> list[Promise]:
        warm, half, end = self.memory.warm, self.memory.half, self.memory.end
        growth, hourly = end - warm, (end - half) / (self.scale * DAY_SECONDS / 3600 / 2)
        judged = self.scale >= SHORTEST_DAY
        return [
            Promise(
                "RSS growth",
                f"{growth:.1f} MB ({warm:.1f} → {end:.1f})",
                f"< {GROWTH_LIMIT_MB:g} MB",
                growth < GROWTH_LIMIT_MB,
            ),
            Promise(
                "RSS growth an hour",
                f"{hourly:.2f} MB in the second half",
                f"<= {HOURLY_LIMIT_MB:g} MB" if judged else "judged from half a day on",
                hourly <= HOURLY_LIMIT_MB or not judged,
            ),
            Promise("tasks left", str(len(self.tasks_left)), "0", not self.tasks_left),
        ]

    def _latency(self) -> list[Promise]:
        calm, every = self.latency.undisturbed, self.latency.all
        with_them = every.quantile(0.99)
        enough = with_them < LATENCY_LIMIT_MS  # then nothing has to be left out to keep the promise
        p50, p99, worst = ((every if enough else calm).quantile(share) for share in (0.5, 0.99, 1.0))
        measurable = enough or calm.count >= ENOUGH * every.count > 0
        left_out = f"{self.latency.left_out} of {self.latency.seconds} s; p99 with them {with_them:.2f} ms"
        return [
            Promise(
                "latency p99",
                f"{p99:.2f} ms (p50 {p50:.2f}, max {worst:.0f})" if measurable else "the machine is too busy",
                f"< {LATENCY_LIMIT_MS:g} ms",
                measurable and p99 < LATENCY_LIMIT_MS,
            ),
            Promise("disturbed by others", left_out, "left out", True),
        ]

    def _behaviour(self) -> list[Promise]:
        counted, rate, failed = self.telemetry, self.scrapes["scrapes"] / self.seconds, self.scrapes["failed"]
        return [
            Promise(
                "health scrapes",
                f"{rate:.1f} a second, {failed:.0f} failed",
                f"{SCRAPES_PER_SECOND} a second",
                rate > 0.95 * SCRAPES_PER_SECOND and not failed,
            ),
            Promise(
                "chat commands",
                f"{counted.requests}, failed {dict(counted.errors) or 'none'}",
                "only when the connection broke",
                set(counted.errors) <= BROKEN and counted.error_count < self.sessions,
            ),
            Promise(
                "state at the end",
                "as the server's" if self.state_true else "differs",
                "as the server's",
                self.state_true,
            ),
        ]
