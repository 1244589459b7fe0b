"""Takes chat commands from PMs, carries them out one after the other, and answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botcore import markup
from botcore.commands import REGISTRY
from botcore.commands.call import Call
from botcore.errors import BotError, SessionError, UsageError
from botcore.outbox import Message
from botcore.room import MODERATOR_RANK, Room
from botcore.session import Session

if TYPE_CHECKING:
    from botcore.bot import Bot

log = logging.getLogger(__name__)

BACKLOG = 100


class Desk:
    """One chat command at a time, in the order in which they came."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._waiting: asyncio.Queue[Call] = asyncio.Queue(BACKLOG)

    def heard(self, session: Session, event: str, data: Any, _before: Room) -> None:
        """Take a PM from a moderator; stay silent to everybody else."""
        if event != "pm" or not session.in_room:
            return
        name, text = data.get("username"), data.get("msg")
        if not isinstance(name, str) or not isinstance(text, str) or name == session.name:
            return
        sender = session.room.user(name)
        if sender is None or sender.rank < MODERATOR_RANK:
            return
        word, _, argument = markup.plain(text).strip().partition(" ")
        if not word:
            return
        try:
            self._waiting.put_nowait(Call(sender, word.lower(), argument.strip(), session, self._bot))
        except asyncio.QueueFull:
            log.warning("too many chat commands at once; one of %s was dropped", name)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            call = await self._waiting.get()
            outcome, answer = await self._carry_out(call)
            self._bot.recorded(call, outcome)
            for line in markup.chunks(answer):
                self._bot.outbox.put(Message(line, to=call.sender.name))

    async def _carry_out(self, call: Call) -> tuple[str, Sequence[str]]:
        """The outcome as a word, and the answer."""
        self._bot.telemetry.requests += 1
        command = REGISTRY.get(call.name)
        try:
            if command is None:
                raise UsageError(f"There is no chat command {call.name!r}.", hint="Say help for the list.")
            if call.sender.rank < command.rank:
                return "silent", []
            return "ok", await command.run(call)
        except UsageError as error:
            usage = f" Usage: {command.usage}" if command else ""
            return error.reason, [error.sentence() + usage]
        except BotError as error:
            self._bot.telemetry.failed(error.reason)
            return error.reason, ["The connection was lost." if isinstance(error, SessionError) else error.sentence()]
        except Exception:
            log.exception("the chat command %s failed", call.name)
            self._bot.telemetry.failed("exception")
            return "exception", ["That failed inside the bot. The log says more."]
