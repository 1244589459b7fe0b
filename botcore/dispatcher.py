"""Takes chat commands from PMs, carries them out, and answers.

Each person's are carried out one after the other, those of different people side by side, unless they touch the same
thing (`ChatCommand.touches`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

from botcore import markup
from botcore.commands import REGISTRY
from botcore.commands.call import Call
from botcore.cytube import lines
from botcore.cytube.message import Message
from botcore.cytube.outbox import Outbox
from botcore.cytube.session import Session
from botcore.errors import BotError, NotSent, SessionError, UsageError
from botcore.health.document import Snapshot
from botcore.leadership import Leadership
from botcore.memory import ledger
from botcore.memory.store import Store
from botcore.recorder import Recorder
from botcore.room import MODERATOR_RANK, Room
from botcore.telemetry import Telemetry

log = logging.getLogger(__name__)

# Chat commands of one person that may wait.
BACKLOG = 100
LOGGED_LENGTH = 200
# What is under way when the bot stops may end within so many seconds more.
LAST_SECONDS = 0.5


class Dispatcher:
    """The chat commands that wait and those being carried out. `run` works, `finish` ends it in good order."""

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
        self._waiting: defaultdict[str, deque[Call]] = defaultdict(deque)
        self._running: dict[str, Call] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._touched: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._came = asyncio.Event()
        self._stopping = False

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
            certain=markup.is_certain(text),
            session=session,
            outbox=self._outbox,
            leadership=self._leadership,
            recorder=self._recorder,
            store=self._store,
            snapshot=self._snapshot,
        )
        self._take(call)

    async def run(self) -> None:
        """Work until cancelled."""
        self._workers.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                for name in self._waiting.keys() - self._workers.keys():
                    self._workers[name] = group.create_task(self._serve(name))
                self._came.clear()
                await self._came.wait()

    async def finish(self, seconds: float) -> None:
        """Carry out what fits into so many seconds; tell whoever ordered the rest that it was not done."""
        await self._idle(seconds)
        self._stopping = True
        undone = {name: list(calls) for name, calls in self._waiting.items()}
        for calls in self._waiting.values():
            calls.clear()
        await self._idle(LAST_SECONDS)
        started = dict(self._running)
        for worker in list(self._workers.values()):
            worker.cancel()
        for name in started.keys() | undone.keys():
            self._not_done(undone.get(name, []), started.get(name))

    async def _idle(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await asyncio.sleep(0.01)

    def _take(self, call: Call) -> None:
        key = call.sender.name.lower()
        if self._stopping:
            self._not_done([call], None)
        elif len(self._waiting[key]) >= BACKLOG:
            log.warning("too many chat commands at once; one of %s was dropped", call.sender.name)
            self._tell(call, [f"{BACKLOG} orders of yours are waiting; this one was dropped: {call.text}"])
        else:
            self._waiting[key].append(call)
            self._came.set()

    async def _serve(self, name: str) -> None:
        """Carry out what one person ordered."""
        waiting = self._waiting[name]
        try:
            while waiting:
                call = self._running[name] = waiting.popleft()
                outcome, answer = await self._carry_out(call)
                self._record(call, outcome)
                self._tell(call, answer)
        finally:
            del self._waiting[name], self._workers[name]
            self._running.pop(name, None)

    def _tell(self, call: Call, answer: Sequence[str], *, first: bool = False) -> None:
        said = list(lines.chunks(answer, limit=self._outbox.line_length))
        for line in reversed(said) if first else said:
            self._outbox.put(Message(line, to=call.sender.name), first=first)

    def _not_done(self, waiting: Sequence[Call], started: Call | None) -> None:
        """One person's orders that end with the bot."""
        answer = ["I am being stopped."]
        if started is not None:
            answer.append(f"Cut short, perhaps done in part: {started.text}")
        if waiting:
            answer += [f"Not done: {waiting[0].text}", *(call.text for call in waiting[1:])]
        calls = [*([started] if started is not None else []), *waiting]
        if calls:
            self._tell(calls[0], answer, first=True)
        for call in calls:
            self._record(call, "stopped")

    async def _carry_out(self, call: Call) -> tuple[str, Sequence[str]]:
        """The outcome as a word, and the answer."""
        self._telemetry.requests += 1
        command = REGISTRY.get(call.name)
        try:
            if command is None:
                raise UsageError(f"There is no chat command {call.name!r}.", hint="Say help for the list.")
            if call.rank < command.rank:
                return "silent", []
            async with self._touched[command.touches] if command.touches else contextlib.nullcontext():
                return "ok", await command.run(call)
        except UsageError as error:
            usage = f" Usage: {command.usage}" if command else ""
            return error.reason, [error.sentence() + usage]
        except BotError as error:
            if error.is_failure:
                self._telemetry.failed(error.reason)
            return error.reason, [_lost(error) if isinstance(error, SessionError) else error.sentence()]
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
            call.text[:LOGGED_LENGTH],
            call.sender.name,
            outcome,
            extra={"who": call.sender.name, "rank": call.sender.rank, "command": name, "outcome": outcome},
        )
        action = ledger.Action(
            time.time(), call.sender.name, call.sender.rank, name, markup.encodable(call.argument), outcome
        )
        self._store.write(lambda connection: ledger.record(connection, action))


def _lost(error: SessionError) -> str:
    """A chat command and the connection ended together: what the moderator has to know."""
    if isinstance(error, NotSent):
        return "I was not connected to CyTube: it was not done."
    return "My connection to CyTube broke meanwhile; it may have been done all the same."
