"""Where the current item stands. Figures from recording 14 and 31: 3 s of lead-in during which the position counts up
from -3 and is paused, one look a second, an update at the start and on every fifth look after it, the end 2 s late."""

from collections.abc import Callable

from sandbox.cytube.clock import Clock, Timer

LEAD_IN = 3.0
LOOK_EVERY = 1.0
LOOKS_PER_UPDATE = 5
GRACE = 2.0
#: Adding up seconds in binary may fall short by less than this.
_ROUNDING = 1e-6


class Playback:
    """The position of one item. ``updated`` is called when people have to be told, ``ended`` when the item is over."""

    def __init__(self, clock: Clock, *, updated: Callable[[], None], ended: Callable[[], None]) -> None:
        self._clock = clock
        self._updated = updated
        self._ended = ended
        self._timer: Timer | None = None
        self._looks = 0
        self._looked_at = 0.0
        self.seconds = 0
        self.position = 0.0
        self.paused = False

    def start(self, seconds: int, *, led: bool) -> None:
        """Begin an item of that length; 0 has no end and no updates. One that is ``led`` stands at its beginning."""
        self.seconds = seconds
        if led:
            self.position, self.paused = 0.0, False
            self.stop()
            return
        self.position, self.paused = (-LEAD_IN, True) if seconds else (0.0, False)
        self.go()

    def stop(self) -> None:
        """Stand still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def go(self) -> None:
        """Count from the present position on."""
        self.stop()
        self._looked_at = self._clock.monotonic()
        if self.seconds:
            self._timer = self._clock.call_later(LOOK_EVERY, self._look)

    def lead(self, position: float, *, paused: bool) -> None:
        """Take the position from the leader."""
        self.stop()
        self.position, self.paused = position, paused
        self._updated()

    def release(self) -> None:
        """There is no leader any more: play on from where the leader was, and end at once if that is beyond the end."""
        self.paused = False
        self._updated()
        self.go()
        if self._is_over():
            self.stop()
            self._ended()

    def as_event(self) -> dict[str, object]:
        """The position as ``mediaUpdate`` carries it."""
        return {"currentTime": self._whole(self.position), "paused": self.paused}

    def _look(self) -> None:
        now = self._clock.monotonic()
        self.position += now - self._looked_at
        self._looked_at = now
        self._looks += 1
        if self._is_over():
            self._timer = None
            self._ended()
            return
        self._timer = self._clock.call_later(LOOK_EVERY, self._look)
        if self.paused and self.position >= -_ROUNDING:
            self.paused, self.position, self._looks = False, 0.0, 0
            self._updated()
        elif self._looks % LOOKS_PER_UPDATE == 0:
            self._updated()

    def _is_over(self) -> bool:
        return self.seconds > 0 and self.position >= self.seconds + GRACE - _ROUNDING

    @staticmethod
    def _whole(position: float) -> float:
        return int(position) if position == int(position) else position
