"""Takes chat commands from PMs, carries them out one after the other, and answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from botcore import markup
from botcore.commands import REGISTRY
from botcore.commands.call import Call
from botcore.errors import BotError, SessionError, UsageError
from botcore.health.document import Snapshot
from botcore.leadership import Leadership
from botcore.memory import ledger
from botcore.memory.store import Store
from botcore.outbox import Message, Outbox
from botcore.recorder import Recorder
from botcore.room import MODERATOR_RANK, Room
from botcore.session import Session
from botcore.telemetry import Telemetry

log = logging.getLogger(__name__)

BACKLOG = 100
LOGGED_LENGTH = 200


class Dispatcher:
    """One chat command at a time, in the order in which they came."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        leadership: Leadership,
        recorder: Recorder,
        store: Store,
        telemetry: Telemetry,
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._outbox = outbox
        self._leadership = leadership
        self._recorder = recorder
        self._store = store
        self._telemetry = telemetry
        self._snapshot = snapshot
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
        call = Call(
            sender=sender,
            name=word.lower(),
            argument=argument.strip(),
            session=session,
            outbox=self._outbox,
            leadership=self._leadership,
            recorder=self._recorder,
            store=self._store,
            snapshot=self._snapshot,
        )
        try:
            self._waiting.put_nowait(call)
        except asyncio.QueueFull:
            log.warning("too many chat commands at once; one of %s was dropped", name)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            call = await self._waiting.get()
            outcome, answer = await self._carry_out(call)
            self._record(call, outcome)
            for line in markup.chunks(answer):
                self._outbox.put(Message(line, to=call.sender.name))

    async def _carry_out(self, call: Call) -> tuple[str, Sequence[str]]:
        """The outcome as a word, and the answer."""
        self._telemetry.requests += 1
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
            if error.is_failure:
                self._telemetry.failed(error.reason)
            return error.reason, ["The connection was lost." if isinstance(error, SessionError) else error.sentence()]
        except Exception:
            log.exception("the chat command %s failed", call.name)
            self._telemetry.failed("exception")
            return "exception", ["That failed inside the bot. The log says more."]

    def _record(self, call: Call, outcome: str) -> None:
        """A chat command was carried out, or not: count it, and say and remember who and what."""
        name = call.name if REGISTRY.get(call.name) else "unknown"
        self._telemetry.commands[(name, outcome)] += 1
        log.info(
            "chat command %s by %s: %s",
            markup.one_line(f"{call.name} {call.argument}")[:LOGGED_LENGTH],
            call.sender.name,
            outcome,
            extra={"who": call.sender.name, "rank": call.sender.rank, "command": name, "outcome": outcome},
        )
        action = ledger.Action(
            time.time(), call.sender.name, call.sender.rank, name, markup.encodable(call.argument), outcome
        )
        self._store.write(lambda connection: ledger.record(connection, action))
