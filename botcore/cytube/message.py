"""What the bot says, on its way: how it is put to the server, and what the server's answers mean for it."""

from __future__ import annotations

import asyncio
import enum
import time
from dataclasses import dataclass, field
from typing import Any

from botcore import markup
from botcore.cytube import lines, orders

# No server's limit is lower; a shorter echo has been shortened by a filter of the channel.
LEAST_LENGTH = 100
MAX_AGE_SECONDS = 600.0


class Delivery(enum.Enum):
    """What became of a message."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    EXPIRED = "expired"
    OVERFLOW = "overflow"
    WITHDRAWN = "withdrawn"


@dataclass(slots=True, eq=False)
class Message:
    """Something to say in the room, or to one person when `to` is a name.

    `detail` is the server's word on a refusal, and on a delivery what the room sees instead, if that is something else.
    """

    text: str
    to: str | None = None
    queued: float = field(default_factory=time.monotonic)
    number: int | None = None
    detail: str = ""
    result: asyncio.Future[Delivery] | None = None

    def line(self) -> orders.Line:
        """The message as the server will take it: nothing in a PM is a format."""
        text = markup.one_line(self.text)
        return orders.parse(text) if self.to is None else orders.Line("", text)


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of a message that fits the server's limit. After the `last` one the message is said."""

    line: orders.Line
    to: str | None
    last: bool = True

    def frame(self) -> tuple[str, dict[str, object]]:
        """The event that says it, and its data."""
        if self.to is None:
            return "chatMsg", {"msg": self.line.sent(), "meta": {}}
        return "pm", {"to": self.to, "msg": self.line.sent(), "meta": {}}

    def echoed(self, event: str, data: Any, own_name: str) -> bool:
        """Whether the event may be the piece, as the room sees it."""
        if event != ("chatMsg" if self.to is None else "pm") or data.get("username") != own_name:
            return False
        return self.to is None or str(data.get("to")).lower() == self.to.lower()

    def shows(self, html: str) -> bool:
        """Whether an echo shows the whole piece, or as much of it as the server's limit has left."""
        return markup.same(self.line.text, html) or self.kept(html) < len(self.line.text)

    def kept(self, html: str) -> int:
        """How many characters the server has left of the piece: all, unless the echo is its beginning."""
        text = self.line.text
        shown = markup.plain(html).rstrip("\ufffd" + "".join(map(chr, range(0xD800, 0xDC00)))).lstrip()
        is_cut = len(shown) < len(text) and lines.length(shown) >= LEAST_LENGTH and text.startswith(shown)
        return len(shown) if is_cut else len(text)


def pieces(line: orders.Line, to: str | None, limit: int) -> tuple[Piece, str]:
    """The first piece of a line within a limit in UTF-16 units, and what is left to say."""
    room = limit - lines.length(line.formats) - line.text.startswith("/")
    if lines.length(line.text) <= room:
        return Piece(line, to), ""
    end = lines.fit(line.text, room)
    rest = line.text[end:].lstrip()
    return Piece(orders.Line(line.formats, line.text[:end].rstrip()), to, last=not rest), rest


@dataclass(frozen=True, slots=True)
class Cooldown:
    """The server lost what was sent; so many seconds until it takes something again."""

    seconds: float


def cooldown(floor: str, event: str, data: Any) -> Cooldown | None:
    """`cooldown` gives milliseconds: 100 or 1000 (recording, scenarios 17 and 18); queueing says it in words."""
    if floor == "queue" and event == "queueFail" and data.get("msg") == "You are adding videos too quickly":
        return Cooldown(1.0)
    if floor != "chatMsg" or event != "cooldown":
        return None
    known = isinstance(data, int | float) and not isinstance(data, bool) and 0 <= data <= 60_000
    return Cooldown((data if known else 1000) / 1000 + 0.05)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server's word on a line that it does not show."""

    reason: str


def refusal(event: str, data: Any, to: str | None) -> Refusal | None:
    """What the server holds against a line. `noflood` means muted, not flooding, and binds chat alone."""
    if event == "noflood" and to is None:
        muted = data.get("action") == "chat"
        return Refusal("I am muted here" if muted else markup.one_line(str(data.get("msg"))))
    # The late answer to the question by which `botcore.response_time` measures is no refusal of this line.
    if event == "errorMsg" and data.get("msg") != "You can't PM yourself!":
        return Refusal(markup.one_line(str(data.get("msg") or event)))
    if event == "spamFiltered":
        return Refusal(markup.one_line(f"the channel filters us: {data.get('reason')}"))
    return None
