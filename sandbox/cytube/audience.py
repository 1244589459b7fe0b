"""Who is in a channel, what they may do there, and who hears what."""

from collections.abc import Callable, Mapping

from sandbox.cytube.clock import Clock
from sandbox.cytube.names import cloak
from sandbox.cytube.session import Message, Session

Handler = Callable[[Session, object], object]
Meta = Mapping[str, object]
#: A chat command of CyTube itself: who gives it, what follows its word, and how the line would look.
Command = Callable[[Session, str, Meta], None]


class Audience:
    """The members of one channel. ``name`` is in lower case.

    ``permissions`` maps an action to the rank it takes; while the list is not ``locked``, actions on it have easier
    ones. ``departures`` hear of everybody who has gone.
    """

    def __init__(self, name: str, *, clock: Clock, permissions: Mapping[str, float], locked: bool) -> None:
        self.name = name
        self.clock = clock
        self.permissions = dict(permissions)
        self.locked = locked
        self.members: dict[Session, None] = {}
        self.departures: list[Callable[[Session], None]] = []
        #: Events that everybody was told of.
        self.told = 0
        self._by_name: dict[str, Session] = {}
        self._listeners: list[Session] = []

    @property
    def names(self) -> list[str]:
        """Names of those who are logged in, in order of arrival."""
        return [member.name for member in self.members if member.name]

    def find(self, name: str) -> Session | None:
        """The member of that name, whatever its case."""
        return self._by_name.get(name.lower())

    def count(self) -> int:
        """Everybody, also those who have no name."""
        return len(self.members)

    def may(self, session: Session, action: str) -> bool:
        """Whether the channel's permissions let the session do it. Nobody may what the channel does not list."""
        needed = [self.permissions.get(action)]
        if action.startswith("playlist") and not self.locked:
            needed.append(self.permissions.get(f"o{action}"))
        return any(rank is not None and session.rank >= rank for rank in needed)

    def code(self, session: Session) -> str:
        """The session's address as moderators see it."""
        return cloak(session.ip, self.name)

    def profile(self, session: Session, *, full: bool) -> dict[str, object]:
        """The user as ``addUser`` and ``userlist`` show them; ``full`` for moderators."""
        return {
            "name": session.name,
            "rank": session.rank,
            "profile": {"image": "", "text": ""},
            "meta": session.meta(full=full, code=self.code(session)),
        }

    # coming and going

    def add(self, session: Session) -> None:
        """Make the session a member, without a word."""
        self.members[session] = None
        if session.outlet is not None:
            self._listeners.append(session)

    def introduce(self, session: Session, *, to_self: bool) -> None:
        """``addUser`` for a member with a name, and a word to the moderators."""
        self._by_name[session.name.lower()] = session
        hidden = None if to_self else session
        self.broadcast_user("addUser", lambda full: self.profile(session, full=full), but=hidden)
        self.whisper(f"{session.name} joined (aliases: {session.name})", but=session)

    def expel(self, session: Session, reason: str) -> None:
        """Kick a member."""
        session.kick(reason)
        self.leave(session)

    def leave(self, session: Session) -> None:
        """Take the session off the list and tell the others; nothing when it is not on it."""
        if session not in self.members:
            return
        del self.members[session]
        if session in self._listeners:
            self._listeners.remove(session)
        if session.name:
            self._by_name.pop(session.name.lower(), None)
            self.broadcast("userLeave", {"name": session.name})
        for departed in self.departures:
            departed(session)

    def disperse(self) -> None:
        """All are gone at once, and nobody is told."""
        for member in self.members:
            member.closed = True
        self.members.clear()
        self._by_name.clear()
        self._listeners.clear()

    # who hears what

    def broadcast(self, event: str, data: object = None, *, but: Session | None = None) -> None:
        """Tell everybody in the room."""
        self.told += 1
        message = Message(event, data)
        for member in self._listeners:
            if member is not but:
                member.post(message)

    def broadcast_from(self, rank: float, event: str, data: object = None, *, but: Session | None = None) -> None:
        """Tell those with ``rank`` or higher."""
        message = Message(event, data)
        for member in self._listeners:
            if member.rank >= rank and member is not but:
                member.post(message)

    def broadcast_user(self, event: str, view: Callable[[bool], object], *, but: Session | None = None) -> None:
        """Tell everybody about a user: moderators get ``view(True)``, the others ``view(False)``."""
        self.told += 1
        views: dict[bool, Message] = {}
        for member in self._listeners:
            if member is not but:
                full = member.is_moderator
                if full not in views:
                    views[full] = Message(event, view(full))
                member.post(views[full])

    def server_line(self, text: str) -> dict[str, object]:
        """A line said by the server itself."""
        meta = {"addClass": "server-whisper", "addClassToNameAndTimestamp": True}
        return {"username": "[server]", "msg": text, "meta": meta, "time": self.now_ms()}

    def whisper(self, text: str, *, but: Session | None = None) -> None:
        """A ``[server]`` line to moderators."""
        self.broadcast_from(2, "chatMsg", self.server_line(text), but=but)

    def send_userlist(self, session: Session) -> None:
        """The list of named users, with the details that the session's rank lets it see."""
        full = session.is_moderator
        session.send("userlist", [self.profile(member, full=full) for member in self.members if member.name])

    def announce_meta(self, session: Session) -> None:
        """``setUserMeta`` to everybody."""
        code = self.code(session)
        self.broadcast_user(
            "setUserMeta", lambda full: {"name": session.name, "meta": session.meta(full=full, code=code)}
        )

    def announce_rank(self, session: Session, *, but: Session | None = None) -> None:
        """``setUserRank`` to everybody."""
        self.broadcast("setUserRank", {"name": session.name, "rank": session.rank}, but=but)

    def now_ms(self) -> int:
        """What lines are stamped with: milliseconds since the epoch."""
        return int(self.clock.time() * 1000)
