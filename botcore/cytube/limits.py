"""The server's flood limits, kept on our side with a margin.

CyTube's limiter is no token bucket: after the burst only spaced lines pass, and the burst is whole again only after a
complete silence (recording, scenarios 17, 18 and 34).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from botcore.room import MODERATOR_RANK, Room


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, then so many a second, until there was silence for so many seconds."""

    burst: int
    per_second: float
    silence: float


# CyTube: 20 at once, then 10 a second (recording, scenario 17). We stay below, because the network bunches lines up.
CHAT = Limit(burst=12, per_second=8, silence=2.5)
# CyTube: 10 at once, then 2 a second for rank 2 and more (recording, scenario 15).
QUEUE = Limit(burst=6, per_second=1.5, silence=6)


def chat_limit(room: Room) -> Limit:
    """The limit for chat lines and PMs now; `chat_antiflood` binds those below rank 2 (scenario 18)."""
    params = room.options.get("chat_antiflood_params")
    if room.rank >= MODERATOR_RANK or room.options.get("chat_antiflood") is not True or not isinstance(params, dict):
        return CHAT
    return Limit(
        burst=max(1, min(CHAT.burst, int(_positive(params.get("burst"), 4)) - 1)),
        per_second=min(CHAT.per_second, _positive(params.get("sustained"), 1) * 0.9),
        silence=max(CHAT.silence, _positive(params.get("cooldown"), 4) + 1),
    )


class Brake:
    """Answers how long to wait before the next one may go. The server counts some lines more than once (`cost`)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used = 0.0
        self._last = clock()

    def wait(self, limit: Limit, cost: int = 1) -> float:
        """Seconds until one more fits under the limit; 0 when it fits now.

        After the burst, what counts twice needs the whole silence: its second half would come 0 s after its first.
        """
        idle = self._clock() - self._last
        if idle >= limit.silence or self._used + cost <= limit.burst:
            return 0.0
        return max(0.0, (1 / limit.per_second if cost == 1 else limit.silence) - idle)

    def take(self, limit: Limit, cost: int = 1) -> None:
        """One was sent."""
        now = self._clock()
        if now - self._last >= limit.silence:
            self._used = 0
        self._used += cost
        self._last = now

    def spend(self) -> None:
        """The server has refused one: nothing of the burst is left, whatever we counted."""
        self._used = math.inf


def _positive(value: object, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1000:
        return default
    return float(value)
