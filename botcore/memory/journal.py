"""The outbox, remembered: so that a restart neither loses a message nor says one twice."""

from __future__ import annotations

import itertools
import logging
import time

from botcore.cytube.message import MAX_AGE_SECONDS, Delivery, Message
from botcore.errors import MemoryUnusable
from botcore.memory import ledger
from botcore.memory.store import Store

log = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0


class OutboundJournal:
    """Writes each message's fate to bot.db."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = itertools.count(time.time_ns())

    def queued(self, message: Message) -> None:
        """A message waits."""
        message.number = next(self._numbers)
        row = ledger.Outbound(message.number, time.time(), message.to, message.text)
        self._store.write(lambda connection: ledger.queued(connection, row))

    async def sending(self, message: Message) -> None:
        """A message is about to go; returns when that is written, or after a second with a stuck disk."""
        if message.number is None:
            return
        number = message.number
        try:
            await self._store.run(
                lambda connection: ledger.mark(connection, number, ledger.SENDING), timeout=ANSWER_SECONDS
            )
        except MemoryUnusable as error:
            log.debug("sending without a note of it: %s", error)

    def kept(self, message: Message) -> None:
        """A message could not go after all, and waits again."""
        if message.number is not None:
            number = message.number
            self._store.write(lambda connection: ledger.mark(connection, number, ledger.QUEUED))

    def settled(self, message: Message, delivery: Delivery) -> None:
        """What became of a message."""
        if message.number is not None:
            number, detail = message.number, message.detail
            self._store.write(lambda connection: ledger.mark(connection, number, delivery.value, detail))

    async def unsaid(self) -> list[Message]:
        """What an earlier process could not say any more, with its age."""
        oldest = time.time() - MAX_AGE_SECONDS
        try:
            rows = await self._store.run(lambda connection: ledger.unsaid(connection, since=oldest), timeout=10.0)
        except MemoryUnusable as error:
            log.warning("%s", error.sentence())
            return []
        now, wall = time.monotonic(), time.time()
        return [
            Message(row.text, row.recipient, queued=now - max(0.0, wall - row.at), number=row.number) for row in rows
        ]
