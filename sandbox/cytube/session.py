"""One connection, and the person behind it."""

from typing import Protocol

from sandbox.cytube.clock import Clock, Timer
from sandbox.cytube.limits import RateLimiter

#: From this rank on somebody is a moderator: sees aliases and addresses, gets [server] lines.
MODERATOR = 2.0


class Message:
    """An event with its data, encoded at most once however many people get it. ``data`` None: an event without data."""

    __slots__ = ("data", "encoded", "event")

    def __init__(self, event: str, data: object = None) -> None:
        self.event = event
        self.data = data
        self.encoded: object = None


class Outlet(Protocol):
    """Where a session's messages go."""

    def post(self, message: Message) -> None:
        """Send ``message`` after everything posted before."""

    def hang_up(self) -> None:
        """Close the connection after everything posted before."""


class Session:
    """A connection to the server.

    Without an ``outlet`` it is one of a synthetic crowd: seen by all, hearing nothing.
    """

    def __init__(self, *, ip: str, outlet: Outlet | None, clock: Clock) -> None:
        self.ip = ip
        self.outlet = outlet
        self.name = ""
        self.registered = False
        self.site_rank = -1.0
        self.rank = -1.0
        self.named_at = 0.0
        self.logging_in = False
        self.asked_to_join = False
        self.closed = False
        self.afk = False
        self.muted = False
        self.shadow_muted = False
        self.afk_timer: Timer | None = None
        self.chat_limiter = RateLimiter(clock)
        self.queue_limiter = RateLimiter(clock)

    @property
    def is_moderator(self) -> bool:
        """Rank 2 or higher."""
        return self.rank >= MODERATOR

    def post(self, message: Message) -> None:
        """Deliver ``message``, unless the connection is gone."""
        if self.outlet is not None and not self.closed:
            self.outlet.post(message)

    def send(self, event: str, data: object = None) -> None:
        """Deliver one event."""
        self.post(Message(event, data))

    def kick(self, reason: str) -> None:
        """Tell the client why, then disconnect it. Its room is left by the caller's hand or by the disconnect."""
        self.send("kick", {"reason": reason})
        self.closed = True
        if self.outlet is not None:
            self.outlet.hang_up()

    def meta(self, *, full: bool, code: str) -> dict[str, object]:
        """State of the user as others see it; ``full`` for moderators, with the hidden address ``code``."""
        meta: dict[str, object] = {"afk": self.afk, "muted": self.muted}
        if full:
            meta |= {"smuted": self.shadow_muted, "aliases": [self.name], "ip": code}
        return meta
