"""All chat commands in an order in which every right answer is known beforehand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.cytube.config import DEMO_MEDIA

COMMANDS = frozenset(
    name
    for line in (
        "add afk clear current help info jump kick move next",
        "pause playlist pm remove say stats status user users voteskip",
    )
    for name in line.split()
)
FIRST, SECOND = DEMO_MEDIA[1], DEMO_MEDIA[2]


@dataclass(frozen=True)
class Question:
    """An order to the bot, and a regular expression that its first line of answer matches from its beginning."""

    words: str
    right: str

    def answered_by(self, text: str) -> bool:
        """Whether that is the right answer."""
        return re.match(self.right, text) is not None


def rounds(bot: str, asker: str, guest: str, victim: str, number: int) -> Iterator[Question]:
    """Every chat command once, some twice. The playlist is empty before and afterwards.

    `guest` and `victim` are in the room, and the victim is not there afterwards. `number` makes what is said unique.
    """
    first, second = re.escape(FIRST.title), re.escape(SECOND.title)
    yield Question("clear", r"The chat is cleared\.")
    yield Question("help", r"Chat commands: " + "".join(rf"(?=.*\b{name}\b)" for name in sorted(COMMANDS)))
    yield Question("help kick", r"kick <name> \[reason\]")
    yield Question("info", rf"{re.escape(bot)}, version ")
    yield Question("status", r"connected for ")
    yield Question("stats", r"\d+ (person|people) seen")
    yield Question(f"add yt:{FIRST.id} keep", rf"Added at place 1: {first}")
    yield Question(f"add yt:{SECOND.id} keep", rf"Added at place 2: {second}")
    yield Question("playlist", rf"2 items, .*1\. {first}")
    yield Question("current", first)
    yield Question("jump 2", rf"Playing: {second}")
    yield Question("move 2 1", rf"Moved to place 1: {second}")
    yield Question("next", rf"Playing: {first}")
    yield Question("pause", r"Paused\.")
    yield Question("pause", r"Going on\.")
    yield Question("voteskip", rf"\d+ votes? of \d+ needed\.|Playing: {second}")
    yield Question("users", r"\d+ connected, \d+ by name")
    yield Question(f"user {asker}", re.escape(asker))
    yield Question("afk", r"I am shown as AFK now\.")
    yield Question("afk", r"I am not AFK any more\.")
    yield Question(f"say line {number} — “grüße” & all, 1 < 2", r"Said\.")
    yield Question(f"pm {guest} line {number}", rf"Sent to {re.escape(guest)}\.")
    yield Question(f"kick {victim} it is round {number}", rf"{re.escape(victim)} was kicked\.")
    yield Question("remove 1", rf"Removed: {second}")
    yield Question("remove 1", rf"Removed: {first}")
