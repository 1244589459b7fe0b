"""The two brakes of CyTube: a rate limiter and a throttle. Their behaviour is read off the recording."""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.cytube.clock import Clock, Timer


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` uses at once, then ``sustained`` a second.

    The burst is whole again after ``cooldown`` seconds of silence; None means ``burst / sustained``.
    """

    burst: int
    sustained: float
    cooldown: float | None = None

    @property
    def silence(self) -> float:
        """Seconds of silence that restore the burst."""
        return self.burst / self.sustained if self.cooldown is None else self.cooldown

    @property
    def wait_ms(self) -> int:
        """What the server names in ``cooldown``: milliseconds between two uses."""
        return round(1000 / self.sustained)


class RateLimiter:
    """Counts uses. It is not a token bucket: a use that is refused changes nothing, and time alone gives nothing back
    before the silence is complete.

    Source: recording 17 (a line 1.9 s before a burst still counts: 19 of 30 pass) and 34 (a tenth of a connection a
    second: 9.0 s after the last success is refused, 12.0 s passes, whatever was saved up before).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._last: float | None = None

    def refuses(self, rate: Rate) -> bool:
        """Take one use; True when there is none to take."""
        now = self._clock.monotonic()
        if self._last is None or now - self._last > rate.silence:
            self._count = 1
        elif self._count < rate.burst:
            self._count += 1
        elif now - self._last < 1 / rate.sustained:
            return True
        self._last = now
        return False


class Throttle:
    """Runs ``call`` at once when it has been quiet, else at most once in ``wait`` seconds, always ending with a run.

    Source: the ``usercount`` events of the recording. A request after ``wait`` seconds without requests runs at once,
    also when the delayed run came less than ``wait`` ago (scenario 26); a request more than ``wait`` after the last run
    runs at once (08); all others wait for a timer that starts with them (04, 13, 21, 27).
    """

    def __init__(self, clock: Clock, wait: float, call: Callable[[], None]) -> None:
        self._clock = clock
        self._wait = wait
        self._call = call
        self._timer: Timer | None = None
        self._requested: float | None = None
        self._ran = 0.0
        self._owed = False

    def request(self) -> None:
        """Ask for a run."""
        now = self._clock.monotonic()
        quiet = self._requested is None or now - self._requested >= self._wait
        overdue = self._timer is not None and now - self._ran >= self._wait
        self._requested = now
        if quiet or overdue:
            self._start(self._wait)
            self._run(now)
            return
        self._owed = True
        if self._timer is None:
            self._start(self._wait)

    def cancel(self) -> None:
        """Forget everything, as if it had never been asked."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._requested = None
        self._owed = False

    def _start(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(delay, self._expired)

    def _run(self, now: float) -> None:
        self._owed = False
        self._ran = now
        self._call()

    def _expired(self) -> None:
        self._timer = None
        if self._owed:
            self._run(self._clock.monotonic())
