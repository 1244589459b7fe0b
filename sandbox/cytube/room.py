"""A channel: who is in it and who hears what."""

from collections.abc import Callable, Mapping

from sandbox.cytube.accounts import Accounts
from sandbox.cytube.board import Board
from sandbox.cytube.chat import Chat
from sandbox.cytube.config import Channel, ServerConfig
from sandbox.cytube.limits import Throttle
from sandbox.cytube.moderation import Moderation
from sandbox.cytube.names import cloak
from sandbox.cytube.player import Player
from sandbox.cytube.ranks import Ranks
from sandbox.cytube.record import Record
from sandbox.cytube.session import Message, Session
from sandbox.cytube.votes import Votes

Handler = Callable[[Session, object], object]


class Room:
    """One channel with its members. ``name`` is in lower case; without ``definition`` nobody has registered it."""

    def __init__(
        self, name: str, *, definition: Channel | None, config: ServerConfig, accounts: Accounts, record: Record
    ) -> None:
        self.name = name
        self.definition = definition
        self.config = config
        self.clock = config.clock
        self.accounts = accounts
        self.record = record
        self.members: dict[Session, None] = {}
        self._by_name: dict[str, Session] = {}
        self.listeners: list[Session] = []
        self.emptied_at: float | None = None
        #: Events that everybody was told of.
        self.told = 0
        self.board = Board(self)
        self.chat = Chat(self)
        self.player = Player(self)
        self.votes = Votes(self)
        self.moderation = Moderation(self)
        self.ranks = Ranks(self)
        self.usercount = Throttle(self.clock, config.usercount_interval, self._send_usercount)
        self.handlers: dict[str, Handler] = {}
        for feature in (self.board, self.chat, self.player, self.votes, self.moderation, self.ranks):
            self.handlers.update(feature.handlers())

    @property
    def password(self) -> str:
        """What the door asks for; empty when it is open."""
        return str(self.board.options["password"] or "")

    @property
    def names(self) -> list[str]:
        """Names of those who are logged in, in order of arrival."""
        return [member.name for member in self.members if member.name]

    def find(self, name: str) -> Session | None:
        """The member of that name, whatever its case."""
        return self._by_name.get(name.lower())

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

    def may(self, session: Session, action: str) -> bool:
        """Whether the channel's permissions let the session do it. Nobody may what the channel does not list."""
        needed = self.board.permissions.get(action)
        return needed is not None and session.rank >= needed

    # who hears what

    def broadcast(self, event: str, data: object = None, *, but: Session | None = None) -> None:
        """Tell everybody in the room."""
        self.told += 1
        message = Message(event, data)
        for member in self.listeners:
            if member is not but:
                member.post(message)

    def broadcast_from(self, rank: float, event: str, data: object = None, *, but: Session | None = None) -> None:
        """Tell those with ``rank`` or higher."""
        message = Message(event, data)
        for member in self.listeners:
            if member.rank >= rank and member is not but:
                member.post(message)

    def broadcast_user(self, event: str, view: Callable[[bool], object], *, but: Session | None = None) -> None:
        """Tell everybody about a user: moderators get ``view(True)``, the others ``view(False)``."""
        self.told += 1
        views: dict[bool, Message] = {}
        for member in self.listeners:
            if member is not but:
                full = member.is_moderator
                if full not in views:
                    views[full] = Message(event, view(full))
                member.post(views[full])

    def whisper(self, text: str, *, but: Session | None = None) -> None:
        """A ``[server]`` line to moderators."""
        self.broadcast_from(2, "chatMsg", self.chat.server_line(text), but=but)

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

    # coming and going

    def announce(self, session: Session, *, to_self: bool) -> None:
        """``addUser``, and a word to the moderators."""
        self._by_name[session.name.lower()] = session
        self.chat.active(session)
        hidden = None if to_self else session
        self.broadcast_user("addUser", lambda full: self.profile(session, full=full), but=hidden)
        self.whisper(f"{session.name} joined (aliases: {session.name})", but=session)

    def admit(self, session: Session) -> None:
        """Make the session a member and send it the burst that answers joinChannel."""
        if session.name:
            self.expel_duplicate(session)
        session.room, session.waiting_for = self, None
        first = not self.members
        self.members[session] = None
        if session.outlet is not None:
            self.listeners.append(session)
        if session.name:
            self.announce(session, to_self=False)
        if session.outlet is not None:
            self._burst(session)
        self.usercount.request()
        if self.definition is None:
            session.send("channelNotRegistered")
        if first:
            self.player.resume()

    def _burst(self, session: Session) -> None:
        session.send("setPermissions", self.board.permissions)
        session.send("setPlaylistLocked", self.player.locked)
        session.send("emoteList", list(self.board.emotes.values()))
        self.chat.send_history(session)
        self.board.send_all(session)
        self.votes.send_poll(session)
        self.player.send_playlist(session)
        if session.registered:
            self.player.send_playlist(session)
        self.player.send_current(session)
        self.send_userlist(session)

    def expel_duplicate(self, session: Session) -> None:
        """The older of two sessions of one user has to go."""
        older = self.find(session.name)
        if older is not None and older is not session:
            self.expel(older, "Duplicate login")

    def expel(self, session: Session, reason: str) -> None:
        """Kick a member."""
        session.kick(reason)
        self.leave(session)

    def leave(self, session: Session) -> None:
        """Take the session off the list and tell the others."""
        if session.room is not self:
            return
        session.room = None
        del self.members[session]
        self.chat.inactive(session)
        if session in self.listeners:
            self.listeners.remove(session)
        if session.name:
            self._by_name.pop(session.name.lower(), None)
            self.broadcast("userLeave", {"name": session.name})
        self.player.left(session)
        self.usercount.request()
        if not self.members:
            self._emptied()

    def _emptied(self) -> None:
        self.emptied_at = self.clock.monotonic()
        self.usercount.cancel()
        self.player.pause()
        self.votes.forget()
        self.board.drinks = 0

    def close(self) -> None:
        """The server stops: nobody is told, nothing is timed any more."""
        for member in self.members:
            member.closed = True
            member.room = None
            self.chat.inactive(member)
        self.members.clear()
        self._by_name.clear()
        self.listeners.clear()
        self._emptied()

    def is_being_saved(self) -> bool:
        """True within ``lost_join_window`` of having been emptied: joinChannel is lost then."""
        window = self.config.lost_join_window
        return bool(window) and self.emptied_at is not None and self.clock.monotonic() - self.emptied_at <= window

    def count(self) -> int:
        """Everybody, also those who have no name."""
        return len(self.members)

    def _send_usercount(self) -> None:
        self.broadcast("usercount", self.count())

    def state(self) -> Mapping[str, object]:
        """What the control endpoint shows."""
        return {
            "usercount": self.count(),
            "users": [self.profile(member, full=True) for member in self.members if member.name],
            "playlist": self.player.as_events(),
            "current": self.player.current_uid,
        }
