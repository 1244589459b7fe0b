"""How much of what a server says is listened to: in one conversation, in all about one thing, and how fast."""

import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_ALTOGETHER, MOST_LINES_ALTOGETHER = 256 << 20, 400_000
"""In all conversations that are counted together: four times what one may have."""
HOT_BYTES, HOT_LINES, WINDOW_SECONDS = 5 << 20, 20_000, 10.0
HOT_WINDOWS = 3
"""So many windows one after the other with so much in each: half a megabyte a second, for half a minute. What is sent
whole, a long journal, comes faster and ends sooner."""


@dataclass
class OutputCount:
    """What one server has said in several conversations, which whoever holds them counts together."""

    size: int = 0
    lines: int = 0

    def add(self, size: int, lines: int) -> None:
        """So much more."""
        self.size += size
        self.lines += lines

    @property
    def too_much(self) -> bool:
        """Whether no program of ours says so much about one thing."""
        return self.size > MOST_ALTOGETHER or self.lines > MOST_LINES_ALTOGETHER


class OutputRate:
    """Whether a server goes on and on, within what one conversation may have."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._size = self._lines = self._hot = 0

    def too_much(self, size: int, lines: int, altogether: OutputCount) -> bool:
        """Count so much more, here and in all; True once that is too much, or comes too fast for too long."""
        altogether.add(size, lines)
        return altogether.too_much or self.too_fast(size, lines)

    def too_fast(self, size: int, lines: int) -> bool:
        """Count so much more; True once three windows one after the other were full."""
        passed = self._clock() - self._began
        if passed >= WINDOW_SECONDS:
            full = self._size >= HOT_BYTES or self._lines >= HOT_LINES
            self._hot = self._hot + 1 if full and passed < 2 * WINDOW_SECONDS else int(full)
            self._began, self._size, self._lines = self._clock(), 0, 0
        self._size += size
        self._lines += lines
        return self._hot >= HOT_WINDOWS
