"""People who exist only on the server: seen, heard and counted by everybody, and costing no connection."""

import itertools

from sandbox.cytube.errors import UnknownName
from sandbox.cytube.room import Room
from sandbox.cytube.session import Session


class Crowd:
    """The synthetic people of one room. They can be kicked, banned and muted like anybody else."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._arrivals = itertools.count(1)

    @property
    def names(self) -> list[str]:
        """Who of them is in the room."""
        return [member.name for member in self._room.members if member.outlet is None]

    def has(self, name: str) -> bool:
        """Whether that one of them is in the room."""
        session = self._room.find(name)
        return session is not None and session.outlet is None

    def enter(self, name: str, *, rank: float = 0) -> None:
        """Let somebody in; the second of one name expels the first, as everywhere."""
        number = next(self._arrivals)
        ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        session = Session(ip=ip, outlet=None, clock=self._room.clock)
        session.name, session.rank, session.site_rank = name, rank, rank
        session.asked_to_join = True
        self._room.admit(session)

    def leave(self, name: str) -> None:
        """Somebody goes. Raises UnknownName."""
        self._room.leave(self._find(name))

    def say(self, name: str, text: str) -> None:
        """A line in public, formatted like any other; flood limits do not hold. Raises UnknownName."""
        self._room.chat.say(self._find(name), text, {})

    def pm(self, name: str, to: str, text: str) -> None:
        """A private message. Raises UnknownName for either of the two."""
        addressee = self._room.find(to)
        if addressee is None:
            raise UnknownName(f"{to} is not in {self._room.name}.")
        self._room.chat.deliver_pm(self._find(name), addressee, text)

    def set_afk(self, name: str, *, afk: bool) -> None:
        """Somebody goes for coffee, or comes back. Raises UnknownName."""
        self._room.chat.set_afk(self._find(name), afk=afk)

    def _find(self, name: str) -> Session:
        session = self._room.find(name)
        if session is None or session.outlet is not None:
            raise UnknownName(f"{name} is not in the crowd of {self._room.name}.", hint="Let them enter first.")
        return session
