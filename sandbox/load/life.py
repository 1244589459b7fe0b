"""What goes on in one room: people come, talk and go, some flood or raid, and a moderator asks."""

import asyncio
import contextlib
import random
from dataclasses import dataclass

import aiohttp

from sandbox.load.control import Control
from sandbox.load.moderator import NAME, Interrupted, Moderator, Tally
from sandbox.load.questions import FIRST, Question, rounds

QUESTION_SECONDS, LINE_SECONDS = 60.0, 10.0
"""Between two questions and two lines at the pace of a day."""
LISTENER = "Listener"
"""Whom the bot is to write to: nobody of the crowd, who come and go."""
FLOOD_PEOPLE, FLOOD_LINES, RAID_PEOPLE, CHURNS = 10, 30, 150, 20
AWAY = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True)
class Pace:
    """How lively it is: people in the room, how many times as densely as in a day they do everything, and the seconds
    that a moderator needs to type."""

    people: int = 40
    density: float = 1.0
    typing: float = 1.0

    @property
    def crowd(self) -> list[str]:
        """Those who come, talk and go."""
        return [f"guest{number}" for number in range(self.people)]

    @property
    def question(self) -> float:
        """Seconds between two questions; a moderator needs some to type."""
        return max(self.typing, QUESTION_SECONDS / self.density)

    @property
    def line(self) -> float:
        """Seconds between two lines of the crowd."""
        return max(0.2, LINE_SECONDS / self.density)


class Life:
    """One room, until it is cancelled."""

    def __init__(self, control: Control, bot: str, pace: Pace, tally: Tally | None = None) -> None:
        """Counts on in `tally`."""
        self.tally = tally or Tally()
        self._control = control
        self._bot = bot
        self._pace = pace
        self._random = random.Random(7)
        self._moderator = Moderator(control, bot, self.tally)
        self._number = self.tally.asked["clear"]
        self._idle = asyncio.Lock()

    async def run(self) -> None:
        """Live."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._crowd())
                tasks.create_task(self._questions())
        finally:
            await self._moderator.leave()

    async def flood(self) -> None:
        """Ten people say thirty lines each, as fast as the server takes them."""
        self.tally.floods += 1
        for line in range(FLOOD_LINES):
            for who in range(FLOOD_PEOPLE):
                await self._say(f"Flooder-{who}", f"flood {self.tally.floods} {line}")
        for who in range(FLOOD_PEOPLE):
            await self._control.act("leave", name=f"Flooder-{who}")

    async def raid(self) -> None:
        """A hundred and fifty come at once, shout, and go."""
        self.tally.raids += 1
        names = [f"Raider-{who}" for who in range(RAID_PEOPLE)]
        for name in names:
            await self._say(name, "!!!")
        for name in names:
            await self._control.act("leave", name=name)

    async def churn(self) -> None:
        """The playlist is filled and emptied again, twenty times, between two rounds of questions."""
        async with self._idle:
            for _ in range(CHURNS):
                with contextlib.suppress(Interrupted):
                    await self._empty()
                    await self._moderator.ask(Question(f"add yt:{FIRST.id} keep", "Added at place 1"))
                    await self._moderator.ask(Question("remove 1", "Removed: "))
                    self.tally.churned += 1

    async def _crowd(self) -> None:
        while True:
            with contextlib.suppress(*AWAY):
                name = self._random.choice(self._pace.crowd)
                if self._random.random() < 0.2:
                    await self._control.act("leave", name=name)
                else:
                    await self._say(name, f"chatter {self._random.randrange(10**6)}")
            await asyncio.sleep(self._pace.line)

    async def _questions(self) -> None:
        while True:
            try:
                async with self._idle:
                    await self._round()
            except Interrupted:
                self.tally.interrupted += 1
                await asyncio.sleep(1.0)
            except AWAY:
                await asyncio.sleep(1.0)

    async def _round(self) -> None:
        self._number += 1
        guest, victim = LISTENER, f"Victim-{self._number}"
        await self._empty()
        for question in rounds(self._bot, NAME, guest, victim, self._number):
            for name in (guest, victim):
                if question.words.split()[1:2] == [name]:
                    await self._say(name, "here")
            await self._moderator.ask(question)
            await asyncio.sleep(self._pace.question)

    async def _empty(self) -> None:
        """Take off the playlist what an interrupted round has left."""
        await self._moderator.ready()
        for item in (await self._control.room())["playlist"]:
            await self._moderator.ask(Question("remove 1", f"Removed: {item['media']['title'][:4]}"))

    async def _say(self, name: str, text: str) -> None:
        if await self._control.act("say", name=name, msg=text):
            self.tally.lines += 1
