"""The rooms of a soak, each with life in it, and who is in them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.cytube.session import Session
from sandbox.demo.room import CHANNELS, CytubeThread
from sandbox.load.control import Control
from sandbox.load.life import Life, Pace
from sandbox.load.moderator import Tally

BOTS = {"test": "RoseyBot-Test", "production": "RoseyBot"}


class Rooms:
    """One room for each environment."""

    def __init__(self, cytube: CytubeThread, pace: Pace, kept: Path) -> None:
        """What was counted is kept in the file, and counted on from there."""
        self._cytube = cytube
        self._lives: dict[str, Life] = {}
        self._pace = pace
        self._seen: dict[str, tuple[Session, int]] = {}
        self._kept = kept
        self._before = json.loads(kept.read_text()) if kept.exists() else {}

    @property
    def tallies(self) -> dict[str, Tally]:
        """What came of the questions, by environment."""
        return {where: life.tally for where, life in self._lives.items()}

    def keep(self) -> None:
        """Write down what was counted so far."""
        told = json.dumps({where: tally.as_json() for where, tally in self.tallies.items()})
        self._kept.with_suffix(".new").write_text(told)
        self._kept.with_suffix(".new").replace(self._kept)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """People in both rooms, for the block."""
        running = [asyncio.run_coroutine_threadsafe(self._live(where), self._cytube.loop) for where in CHANNELS]
        try:
            yield
        finally:
            for one in running:
                one.cancel()
            self.keep()

    def lively(self, where: str, what: str) -> None:
        """A `flood`, a `raid` or a `churn` of the playlist, from its beginning to its end."""
        life = self._lives[where]
        deeds = {"flood": life.flood, "raid": life.raid, "churn": life.churn}
        self._cytube.run(deeds[what](), deadline=600.0)

    def session(self, where: str) -> int:
        """Which session the bot of an environment is in its room with; 0 when it is not there."""
        found = self._cytube.ask(lambda server: server.room(CHANNELS[where]).find(BOTS[where]))
        if found is None:
            return 0
        before, number = self._seen.get(where, (None, 0))
        if before is not found:  # kept, so that no later session is taken for it
            self._seen[where] = found, number + 1
        return self._seen[where][1]

    async def _live(self, where: str) -> None:
        async with Control(self._cytube.server.url, CHANNELS[where]) as control:
            before = Tally.from_json(self._before[where]) if where in self._before else None
            self._lives[where] = Life(control, BOTS[where], self._pace, before)
            await self._lives[where].run()
