"""How long to wait before the next attempt: one pace for each kind of failure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from botcore.errors import (
    Banned,
    ChannelRefused,
    DuplicateLogin,
    Kicked,
    LoginRefused,
    NameTaken,
    NoAnswer,
    RateLimited,
    SessionError,
    Unreachable,
)


@dataclass(frozen=True, slots=True)
class Pace:
    """Delays in seconds: the first, doubling up to the cap; forgotten after `stable` seconds in the room."""

    first: float
    cap: float
    stable: float = 30.0

    def delay(self, failures: int) -> float:
        """The wait after this many failures in a row (1 is the first), without jitter."""
        return float(min(self.cap, self.first * 2.0 ** min(failures - 1, 30)))


NETWORK = Pace(first=0.5, cap=30.0)
PACES: Mapping[type[SessionError], Pace] = {
    Unreachable: NETWORK,
    NoAnswer: NETWORK,
    # Five connections at once, then one per ten seconds and address (recording, scenario 25).
    RateLimited: Pace(first=15.0, cap=60.0),
    Kicked: Pace(first=5.0, cap=300.0, stable=600.0),
    # Coming back at once would kick the other session, which would kick us: two bots in a ping-pong.
    DuplicateLogin: Pace(first=60.0, cap=1800.0, stable=3600.0),
    Banned: Pace(first=300.0, cap=3600.0),
    # A wrong password does not become right by trying: no login storm.
    LoginRefused: Pace(first=300.0, cap=3600.0),
    # One guest login per address and 60 seconds (recording, scenario 07).
    NameTaken: Pace(first=90.0, cap=300.0),
    ChannelRefused: Pace(first=60.0, cap=900.0),
}


class Backoff:
    """Counts failures of each kind in a row and answers with a jittered delay."""

    def __init__(self, paces: Mapping[type[SessionError], Pace] = PACES, *, rng: random.Random | None = None) -> None:
        self.paces = paces
        self._rng = rng or random.SystemRandom()
        self._failures: dict[Pace, int] = {}

    def after(self, error: SessionError, *, stood: float = 0.0) -> float:
        """Seconds to wait after this error, when the session before it stood so many seconds in the room.

        Jitter takes away up to a third, so that many bots do not return in step after an outage.
        """
        for pace in list(self._failures):
            if stood >= pace.stable:
                del self._failures[pace]
        pace = self._pace(error)
        self._failures[pace] = self._failures.get(pace, 0) + 1
        return pace.delay(self._failures[pace]) * self._rng.uniform(2 / 3, 1.0)

    def _pace(self, error: SessionError) -> Pace:
        for kind in type(error).__mro__:
            if kind in self.paces:
                return self.paces[kind]
        return NETWORK
