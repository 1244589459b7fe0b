"""Latencies in buckets, and which seconds count: those in which nobody else kept the processors."""

from __future__ import annotations

import asyncio
from pathlib import Path

BUCKET_SECONDS = 0.00002
BUCKETS = 50_000
# Of a second, for two threads. Alone on two processors they wait for each other and for the scraper about half as long.
DISTURBED_SECONDS = 0.05


class Latency:
    """Counts in buckets of 20 µs, so that measuring takes no memory that grows."""

    def __init__(self) -> None:
        self.counts = [0] * (BUCKETS + 1)
        self.count = 0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count one, or several alike."""
        self.counts[min(BUCKETS, max(0, int(seconds / BUCKET_SECONDS)))] += times
        self.count += times

    def quantile(self, share: float) -> float:
        """Milliseconds within which this share was done."""
        running = 0
        for index, count in enumerate(self.counts):
            running += count
            if running >= share * self.count:
                return (index + 1) * BUCKET_SECONDS * 1000
        return float("inf")


class Quiet:
    """Sorts the latencies of each second: into `undisturbed` when the processors were there for us, into `all` anyway.

    Source: the kernel's count of the time a thread was ready to run and had to wait (/proc/<pid>/schedstat).
    """

    def __init__(self, *processes: int) -> None:
        self.undisturbed, self.all = Latency(), Latency()
        self.seconds = self.left_out = 0
        self._files = [Path(f"/proc/{process}/task/{process}/schedstat") for process in processes]
        self._now: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one."""
        bucket = min(BUCKETS, max(0, int(seconds / BUCKET_SECONDS)))
        self._now[bucket] = self._now.get(bucket, 0) + 1

    async def run(self) -> None:
        """Close a window every second until cancelled."""
        waited = self._waited()
        while True:
            await asyncio.sleep(1)
            before, waited = waited, self._waited()
            self._close(waited - before)

    def _close(self, waited: float) -> None:
        window, self._now = self._now, {}
        self.seconds += 1
        self.left_out += waited > DISTURBED_SECONDS
        for bucket, times in window.items():
            self.all.add(bucket * BUCKET_SECONDS, times)
            if waited <= DISTURBED_SECONDS:
                self.undisturbed.add(bucket * BUCKET_SECONDS, times)

    def _waited(self) -> float:
        """Seconds that both processes' main threads have waited for a processor so far."""
        try:
            return sum(int(file.read_text().split()[1]) for file in self._files) / 1e9
        except (OSError, IndexError):
            return 0.0
