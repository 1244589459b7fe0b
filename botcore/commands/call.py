"""One use of a chat command, and what it may reach."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from botcore import markup
from botcore.commands import wording
from botcore.errors import ActionRefused, ActionUnanswered, NoAnswer
from botcore.health.document import Snapshot
from botcore.leadership import Leadership
from botcore.memory.store import Store
from botcore.outbox import Outbox
from botcore.recorder import Recorder
from botcore.room import MODERATOR_RANK, Room, User
from botcore.session import Accept, Session

T = TypeVar("T")
REMEMBER_SECONDS = 5.0


@contextlib.contextmanager
def unanswered() -> Iterator[None]:
    """CyTube's silence, as a sentence for whoever asked."""
    try:
        yield
    except NoAnswer as error:
        raise ActionUnanswered("CyTube has not confirmed it in time; it may still have happened.") from error


@dataclass(frozen=True, slots=True)
class Call:
    """Who said what in which session, and the parts of the bot that a chat command may use."""

    sender: User
    name: str
    argument: str
    session: Session
    outbox: Outbox
    leadership: Leadership
    recorder: Recorder
    store: Store
    snapshot: Callable[[], Snapshot]

    @property
    def room(self) -> Room:
        """The room as it is now."""
        return self.session.room

    @property
    def text(self) -> str:
        """The whole order, as one line."""
        return markup.one_line(f"{self.name} {self.argument}")

    @property
    def words(self) -> list[str]:
        """The argument, split at spaces."""
        return self.argument.split()

    def need(self, action: str) -> None:
        """Refuse what our rank does not allow: CyTube stays silent then, or even kicks the sender."""
        if not self.room.may(action):
            needed = wording.rank(self.room.permissions.get(action, MODERATOR_RANK))
            raise ActionRefused(
                f"I may not do that: it takes the rank {needed}, and I am {wording.rank(self.room.rank)}."
            )

    async def act(self, event: str, data: object, accept: Accept, *, timeout: float | None = None) -> Any:
        """Do something in the room and wait for the server's word. Raises CommandError or SessionError."""
        with unanswered():
            return await self.outbox.perform(self.session, event, data, accept, timeout=timeout)

    async def remembered(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the memory, which first learns what was not written yet. Raises MemoryUnusable."""
        self.recorder.flush()
        return await self.store.run(work, timeout=REMEMBER_SECONDS)
