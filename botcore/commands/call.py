"""One use of a chat command, and what it may reach."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from botcore import markup
from botcore.commands import wording
from botcore.cytube.outbox import Outbox
from botcore.cytube.session import Accept, Session
from botcore.errors import ActionRefused, ActionUnanswered, NoAnswer
from botcore.health.document import Snapshot
from botcore.leadership import Leadership
from botcore.memory.store import Store
from botcore.recorder import Recorder
from botcore.room import ANONYMOUS_RANK, Room, User

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
    """Who said what in which session, and the parts of the bot that a chat command may use.

    The argument is not `certain` where the channel's formatting hides what exactly was typed.
    """

    sender: User
    name: str
    argument: str
    certain: bool
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

    @property
    def rank(self) -> float:
        """The rank of whoever gave the order, now; with them their rank has left the room."""
        user = self.room.user(self.sender.name)
        return ANONYMOUS_RANK if user is None else user.rank

    def need(self, *actions: str) -> None:
        """Refuse what the channel does not allow to us (CyTube stays silent then, or even kicks the sender), and what
        it does not allow to whoever gave the order: the bot lends nobody its rank.
        """
        for action in actions:
            needed = wording.rank(self.room.needed(action))
            for who, rank in (
                ("I may not do that: it takes the rank {}, and I am {}.", self.room.rank),
                ("You may not do that: it takes the rank {}, and you are {}.", self.rank),
            ):
                if not self.room.may(action, rank):
                    raise ActionRefused(who.format(needed, wording.rank(rank)))

    def find(self, name: str) -> User:
        """Somebody in the room by name. Raises ActionRefused.

        Where formatting may have eaten underscores, also the only one whose name is that without them.
        """
        user = self.room.user(name)
        if user is not None:
            return user
        alike = [user for user in self.room.users.values() if markup.bare(user.name) == markup.bare(name)]
        if self.certain or not alike:
            raise ActionRefused(f"{name} is not here.")
        if len(alike) > 1:
            raise ActionRefused(f"Formatting hides who is meant: {', '.join(user.name for user in alike)}?")
        return alike[0]

    async def act(
        self,
        event: str,
        data: object,
        accept: Accept,
        *,
        timeout: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Any:
        """Do something in the room and wait for the server's word; `check` is asked once more when it is its turn.

        Raises CommandError or SessionError.
        """
        with unanswered():
            return await self.outbox.perform(self.session, event, data, accept, timeout=timeout, check=check)

    async def remembered(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the memory, which first learns what was not written yet. Raises MemoryUnusable."""
        self.recorder.flush()
        return await self.store.run(work, timeout=REMEMBER_SECONDS)
