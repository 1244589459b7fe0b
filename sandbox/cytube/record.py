"""What a server remembers of what was said, for tests and for the demo."""

from collections import deque
from dataclasses import dataclass, field

#: Chat and PM lines that a server remembers for whoever inspects it.
REMEMBERED_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """A chat line or PM that went through: ``text`` as typed, ``html`` as sent, ``time`` in ms since the epoch."""

    channel: str
    username: str
    text: str
    html: str
    time: int
    to: str = ""


@dataclass(slots=True)
class Record:
    """What a server has seen; it outlives a restart."""

    chat: deque[Line] = field(default_factory=lambda: deque(maxlen=REMEMBERED_LINES))
    pm: deque[Line] = field(default_factory=lambda: deque(maxlen=REMEMBERED_LINES))

    def add(self, line: Line) -> None:
        """Keep a line; one with an addressee is a PM."""
        (self.pm if line.to else self.chat).append(line)
