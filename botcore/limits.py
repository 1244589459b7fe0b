"""The server's flood limits, kept on our side with a margin."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from botcore.room import MODERATOR_RANK, Room


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, then so many a second."""

    burst: float
    per_second: float


# CyTube: burst 20, then 10 a second (recording, scenario 17). We stay below, because its clock is not ours.
CHAT = Limit(burst=12, per_second=8)
# CyTube: burst 10, then 2 a second for rank 2 and more (recording, scenario 15).
QUEUE = Limit(burst=6, per_second=1.5)


def chat_limit(room: Room) -> Limit:
    """The limit for chat lines and PMs now; `chat_antiflood` binds those below rank 2 (scenario 18)."""
    params = room.options.get("chat_antiflood_params")
    if room.rank >= MODERATOR_RANK or room.options.get("chat_antiflood") is not True or not isinstance(params, dict):
        return CHAT
    return Limit(
        burst=max(1.0, _positive(params.get("burst"), 4.0) - 1),
        per_second=min(CHAT.per_second, _positive(params.get("sustained"), 1.0) * 0.9),
    )


class TokenBucket:
    """Answers how long to wait before the next one may go."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent = 0.0
        self._at = clock()

    def wait(self, limit: Limit) -> float:
        """Seconds until one more fits under the limit; 0 when it fits now."""
        self._drain(limit)
        return max(0.0, (self._spent + 1 - limit.burst) / limit.per_second)

    def take(self, limit: Limit) -> None:
        """One was sent."""
        self._drain(limit)
        self._spent += 1

    def _drain(self, limit: Limit) -> None:
        now = self._clock()
        self._spent = max(0.0, self._spent - (now - self._at) * limit.per_second)
        self._at = now


def _positive(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1000:
        return default
    return float(value)
