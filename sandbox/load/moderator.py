"""A moderator with a connection of their own, who asks the bot and knows the right answers."""

import asyncio
import html
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sandbox.cytube.config import SANDBOX_PASSWORD
from sandbox.cytube.viewer import Viewer
from sandbox.load.control import Control
from sandbox.load.questions import Question

NAME = "Moderator"
TIMEOUT = 30.0
"""Seconds that an answer may take; then it is missing."""
LIMIT_SECONDS = 0.12
"""Between two questions: of one person CyTube takes ten lines a second, and drops the rest without a word."""
_TAG = re.compile(r"<[^>]*>")


class Interrupted(Exception):
    """The connection broke, the moderator's or the bot's: nobody can tell what the answer would have been."""


@dataclass
class Tally:
    """What came of the questions; `wrong` are those answered otherwise, `missing` those not answered in time."""

    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    interrupted: int = 0
    seconds: list[float] = field(default_factory=list)
    lines: int = 0
    floods: int = 0
    raids: int = 0
    churned: int = 0

    def as_json(self) -> dict[str, Any]:
        """For a file, from which `from_json` reads it."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Tally":
        """What `as_json` gave."""
        counted = {name: Counter(kept[name]) for name in ("asked", "right")}
        return cls(**{**kept, **counted})

    def within(self, share: float) -> float:
        """Seconds within which this share of the right answers came; 0 without any."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Moderator:
    """Asks one question after the other."""

    def __init__(self, control: Control, bot: str, tally: Tally) -> None:
        self._control = control
        self._bot = bot
        self._tally = tally
        self._viewer: Viewer | None = None

    async def ready(self) -> None:
        """Be in the room, with the bot. Raises Interrupted when that is not so yet."""
        if self._viewer is not None and self._viewer.disconnected is not None:
            await self.leave()
            raise Interrupted("The connection broke: a new one begins anew.")
        try:
            if self._viewer is None:
                self._viewer = await Viewer.join(self._control.url, self._control.channel, NAME, SANDBOX_PASSWORD)
            left = self._bot_left(self._viewer)
            self._viewer.forget()  # of what comes from here on nothing is missed
            self._viewer.heard.clear()
            room = await self._control.room()
        except Exception as error:  # whatever a server that is away does to a client
            raise Interrupted(str(error)) from error
        if left:
            raise Interrupted(f"{self._bot} came anew, and begins anew.")
        if self._viewer.disconnected is not None:
            raise Interrupted(self._viewer.disconnected)
        if self._bot not in {user["name"] for user in room["users"]}:
            raise Interrupted(f"{self._bot} is not there.")

    def _bot_left(self, viewer: Viewer) -> bool:
        """Whether it went since the last question: then its next session knows nothing of what was asked."""
        return any(heard.event == "userLeave" and heard.data.get("name") == self._bot for heard in viewer.unread)

    async def leave(self) -> None:
        """Go."""
        viewer, self._viewer = self._viewer, None
        if viewer is not None:
            await viewer.leave()

    async def ask(self, question: Question) -> None:
        """Ask and count. Raises Interrupted when a connection broke meanwhile."""
        await asyncio.sleep(LIMIT_SECONDS)
        await self.ready()
        assert self._viewer is not None  # noqa: S101 - ready() sees to it
        command, began = question.words.split()[0], time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._viewer.pm(self._bot, question.words)
                text = await self._answer(self._viewer)
        except TimeoutError:
            self._tally.asked[command] += 1
            self._tally.missing.append(question.words)
            return
        self._tally.asked[command] += 1
        if question.answered_by(text):
            self._tally.right[command] += 1
            self._tally.seconds.append(time.monotonic() - began)
        else:
            self._tally.wrong.append(f"{question.words}: {text[:120]}")

    async def _answer(self, viewer: Viewer) -> str:
        """The next private message of the bot. Raises Interrupted when it leaves instead."""
        while True:
            heard = await viewer.wait_for_any("pm", "userLeave", "<disconnect>", deadline=2 * TIMEOUT)
            if heard.event == "<disconnect>" or heard.data.get("name") == self._bot:
                raise Interrupted("The connection broke.")
            if heard.event == "pm" and heard.data.get("username") == self._bot:
                return html.unescape(_TAG.sub("", heard.data["msg"]))
