"""One use of a chat command, and what it may reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botcore.room import Room, User

if TYPE_CHECKING:
    from botcore.bot import Bot
    from botcore.session import Session


@dataclass(frozen=True, slots=True)
class Call:
    """Who said what, in which session."""

    sender: User
    name: str
    argument: str
    session: Session
    bot: Bot

    @property
    def room(self) -> Room:
        """The room as it is now."""
        return self.session.room

    @property
    def words(self) -> list[str]:
        """The argument, split at spaces."""
        return self.argument.split()
