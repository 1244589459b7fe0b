"""What a CyTube server would carry out instead of showing it.

A line is an order when its first character is a slash and its first word is known to the server. The rest of `/me` and
`/sp` is read again in the same way, at any depth (docs/cytube-protocol.md). Whatever the bot says, it says with its own
rank; so nothing that others put into its mouth may be an order.
"""

from __future__ import annotations

from dataclasses import dataclass

# What only changes how a line looks, and what anybody may give.
_FORMATS = ("me", "sp")
_MOST_FORMATS = 2
# Every chat command of CyTube; `d` is recognised by its letter alone.
_SERVER = frozenset(
    (
        "a", "afk", "ban", "banip", "clean", "clear", "cleantitle", "hpoll", "ipban", "kick", "kickanons", "me",
        "mute", "poll", "rank", "rcv", "say", "shout", "smute", "sp", "unmute", "unsmute",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the server takes it apart: formats such as `/me /sp ` and what they are applied to."""

    formats: str
    text: str

    @property
    def order(self) -> str:
        """The word of the order that the text would be, without its slash; "" when it is none that we know."""
        if not self.text.startswith("/"):
            return ""
        word = self.text[1:].partition(" ")[0]
        return word if word in _SERVER or word.startswith("d") else ""

    @property
    def cost(self) -> int:
        """How often the server counts the line for its flood limit."""
        return 1 + self.formats.count("/")

    def sent(self) -> str:
        """The line so that it is shown and never carried out: a space makes a slash a character like any other."""
        return f"{self.formats} {self.text}" if self.text.startswith("/") else f"{self.formats}{self.text}"


def parse(line: str) -> Line:
    """Take a line apart."""
    rest = line
    for _ in range(_MOST_FORMATS):
        word, space, after = rest[1:].partition(" ")
        if not rest.startswith("/") or not space or word not in _FORMATS:
            break
        rest = after
    return Line(line[: len(line) - len(rest)], rest)
