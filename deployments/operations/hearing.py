"""What a server prints while an operation is carried out."""

import time
from collections import deque
from collections.abc import Callable

from deployments.core.hidden_characters import visible
from deployments.core.masking import Mask

KEPT_OUTPUT = 64 << 10  # characters
MOST_OUTPUT = 4 << 20  # characters of a server's that are told to whoever waits
KEEP_SECONDS = 1.0
Say = Callable[[str], None]


class Heard:
    """Told as it comes, masked and made visible; the beginning and the newest of it are kept,
    once a second, so that a page can follow.
    """

    def __init__(self, mask: Mask, say: Say, keep: Say) -> None:
        self._mask = mask
        self._say = say
        self._keep = keep
        self._kept_at = 0.0
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._sizes = [0, 0, 0]  # of the head, of the tail, of all

    def __call__(self, line: str) -> None:
        """One line more."""
        line = visible(self._mask(line.expandtabs()), lines=False)
        self._sizes[2] += len(line) + 1
        if self._sizes[2] > MOST_OUTPUT:
            return
        self._say(line)
        head = self._sizes[0] + len(line) < KEPT_OUTPUT // 2 and not self._tail
        (self._head if head else self._tail).append(line)
        self._sizes[not head] += len(line) + 1
        while self._sizes[1] > KEPT_OUTPUT // 2 and len(self._tail) > 1:
            self._sizes[1] -= len(self._tail.popleft()) + 1
        if (now := time.monotonic()) - self._kept_at >= KEEP_SECONDS:
            self._kept_at = now
            self._keep(self.kept)

    @property
    def kept(self) -> str:
        """As one text, with a line for what is left out between."""
        between = ["(lines are left out here)"] if self._sizes[0] + self._sizes[1] < self._sizes[2] else []
        return "\n".join([*self._head, *between, *self._tail])
