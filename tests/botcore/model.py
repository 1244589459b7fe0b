"""A bot and the sandbox's room in one piece: no network, no passwords, no waiting, so that a property sees thousands.

The room is the real one of the sandbox; the session, outbox and dispatcher are the bot's. Events go from one to the
other by a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from botcore.cytube.message import Delivery, Message
from botcore.cytube.outbox import Outbox
from botcore.cytube.session import Identity, Session
from botcore.dispatcher import Dispatcher
from botcore.events import Events
from botcore.leadership import Leadership
from botcore.telemetry import Telemetry
from sandbox.cytube.accounts import Accounts
from sandbox.cytube.clock import ManualClock
from sandbox.cytube.config import Account, Channel, Media, ServerConfig
from sandbox.cytube.limits import Rate
from sandbox.cytube.record import Record
from sandbox.cytube.room import Room
from sandbox.cytube.session import Message as Event
from sandbox.cytube.session import Session as Visitor

BOT, MODERATOR, ABOVE, BELOW = "Bot", "Mod", "Above", "Below"
MEDIA = (Media("aaaaaaaaaaa", "/kick Below", 300), Media("bbbbbbbbbbb", "Demo _two_", 300))
WITHOUT_LIMIT = Rate(burst=10_000, sustained=10_000)
# Silence is known at once here: nothing comes later than at once.
TIMEOUT = 0.002


class _Pipe:
    """From the room to the bot."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def post(self, message: Event) -> None:
        data = json.loads(json.dumps(message.data))
        self._session.received(message.event, data)

    def hang_up(self) -> None:
        self._session.disconnected("kicked")


class _Socket:
    """From the bot to the room."""

    def __init__(self, room: Room, visitor: Visitor) -> None:
        self._room = room
        self._visitor = visitor

    async def connect(self, url: str, *, timeout: float) -> None:
        """Nothing to do: it is connected."""

    async def emit(self, event: str, data: object = None) -> None:
        handler = self._room.handlers.get(event)
        if handler is not None and not self._visitor.closed:
            handler(self._visitor, json.loads(json.dumps(data)))

    async def close(self) -> None:
        """Nothing to do."""


class _Forgetful:
    """A journal, a store and a recorder without a memory."""

    def queued(self, message: Message) -> None:
        message.number = 0

    async def sending(self, message: Message) -> None:
        """Not remembered."""

    def kept(self, message: Message) -> None:
        """Not remembered."""

    def settled(self, message: Message, delivery: Delivery) -> None:
        """Not remembered."""

    def write(self, work: Any) -> None:
        """Not remembered."""

    def flush(self) -> None:
        """Nothing to write."""

    async def run(self, work: Any, *, timeout: float) -> None:
        """Nothing is known of anybody."""


class Model:
    """A room with a bot, a moderator, somebody above and somebody below; two items are on the list."""

    def __init__(self, *, bot_rank: float, moderator_rank: float, permissions: dict[str, float]) -> None:
        account = Account(BELOW, "", rank=1)
        config = ServerConfig(
            clock=ManualClock(), chat_rate=WITHOUT_LIMIT, queue_rate=WITHOUT_LIMIT, media=MEDIA, accounts=(account,)
        )
        self.room = Room(
            "model",
            definition=Channel("model"),
            config=config,
            accounts=Accounts(config.accounts, cost=4),
            record=Record(),
        )
        self.room.permissions |= permissions
        self.moderator_rank = moderator_rank
        identity = Identity("model", None, BOT, None)
        self.events = Events(Telemetry())
        self.session = Session(identity, self.events, timeout=TIMEOUT)
        self._admit(ABOVE, 5)
        self._admit(BELOW, 1)
        self._admit(MODERATOR, moderator_rank)
        for media in MEDIA:
            item, _ = self.room.player.items.add(media, after=None, temp=True, by=BELOW)
            if self.room.player.current is None:
                self.room.player.play(item)
        visitor = Visitor(ip="10.0.0.1", outlet=cast(Any, _Pipe(self.session)), clock=config.clock)
        visitor.name, visitor.rank, visitor.site_rank, visitor.registered = BOT, bot_rank, bot_rank, False
        self.session.received("rank", bot_rank)
        self.room.admit(visitor)
        self.bot = visitor
        self.session._socket = _Socket(self.room, visitor)
        self.session.in_room = True
        self.outbox = Outbox(lambda: self.session, journal=_Forgetful())
        forgetful: Any = _Forgetful()
        self.dispatcher = Dispatcher(
            outbox=self.outbox,
            leadership=Leadership(self.outbox),
            recorder=forgetful,
            store=forgetful,
            telemetry=Telemetry(),
            snapshot=cast(Any, None),
        )

    def _admit(self, name: str, rank: float) -> None:
        visitor = Visitor(ip=f"10.1.0.{len(self.room.members)}", outlet=None, clock=self.room.clock)
        visitor.name, visitor.rank, visitor.site_rank = name, rank, rank
        self.room.admit(visitor)

    async def order(self, text: str) -> None:
        """Let the moderator say something to the bot by PM, and wait until it has answered."""
        self.events.subscribe(self.dispatcher.heard)
        async with self._working():
            sender = self.room.find(MODERATOR)
            assert sender is not None
            self.room.chat.deliver_pm(sender, self.bot, text)
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
                while self.dispatcher._waiting or self.dispatcher._running or len(self.outbox):
                    await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.outbox.run()), asyncio.create_task(self.dispatcher.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
