"""Synthetic traffic for load tests: a crowd that comes, goes and talks as fast as the clients can follow."""

import asyncio
import random
from dataclasses import dataclass

from sandbox.cytube.crowd import Crowd
from sandbox.cytube.server import CytubeServer

#: Events between two looks at how far the clients are behind, and how many they may be behind.
BATCH = 100
MOST_BEHIND = 2_000


@dataclass(frozen=True, slots=True)
class Churned:
    """What came of it: events that every client of the room was sent, and the seconds that took."""

    events: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Events a second for one client."""
        return self.events / self.seconds if self.seconds else 0.0


class _Mob:
    """Decides what happens next: 4 in 10 talk, 3 come or go, 2 are away or back, 1 is a ``mediaUpdate``."""

    def __init__(self, crowd: Crowd, *, users: int, source: random.Random) -> None:
        self._crowd = crowd
        self._source = source
        self._users = users
        self._present: list[str] = []
        self._away: set[str] = set()
        self._arrivals = 0
        for _ in range(users):
            self._arrive()

    def act(self) -> bool:
        """One thing happens; False when it is time for a ``mediaUpdate``."""
        die = self._source.random()
        if die < 0.4:
            self._crowd.say(self._somebody(), f"line {self._source.random():.6f}")
        elif die < 0.7:
            if len(self._present) >= self._users:
                self._depart()
            else:
                self._arrive()
        elif die < 0.9:
            name = self._somebody()
            self._away ^= {name}
            self._crowd.set_afk(name, afk=name in self._away)
        else:
            return False
        return True

    def go_home(self) -> None:
        """All leave."""
        while self._present:
            self._depart()

    def _somebody(self) -> str:
        name = self._source.choice(self._present)
        if not self._crowd.has(name):  # somebody has kicked them: they come back
            self._crowd.enter(name)
        return name

    def _arrive(self) -> None:
        self._arrivals += 1
        name = f"Crowd-{self._arrivals}"
        self._crowd.enter(name)
        self._present.append(name)

    def _depart(self) -> None:
        place = self._source.randrange(len(self._present))
        self._present[place], self._present[-1] = self._present[-1], self._present[place]
        name = self._present.pop()
        self._away.discard(name)
        if self._crowd.has(name):
            self._crowd.leave(name)


async def churn(
    server: CytubeServer,
    *,
    events: int,
    users: int = 500,
    rate: float | None = None,
    channel: str | None = None,
    seed: int = 0,
) -> Churned:
    """Send ``events`` events to every client of a room, about a crowd of ``users`` who are gone at the end.

    ``rate`` in events a second; None is as fast as the slowest client reads. The events that fill and empty the room
    are not counted. Clients may come, go and be kicked meanwhile.
    """
    room, loop = server.room(channel), asyncio.get_running_loop()
    mob = _Mob(server.crowd(channel), users=users, source=random.Random(seed))
    await server.drained(MOST_BEHIND)
    begin, told, position = loop.time(), room.told, 0.0
    while room.told - told < events:
        batch = room.told + BATCH
        while room.told < min(batch, told + events):
            if not mob.act():
                position += 0.1
                room.broadcast("mediaUpdate", {"currentTime": position, "paused": False})
        await server.drained(MOST_BEHIND)
        due = (room.told - told) / rate if rate else 0.0
        await asyncio.sleep(max(0.0, due - (loop.time() - begin)))
    await server.drained(0)
    result = Churned(room.told - told, loop.time() - begin)
    mob.go_home()
    await server.drained(0)
    return result
