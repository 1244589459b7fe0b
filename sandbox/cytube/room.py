"""A channel: its audience and everything that happens in front of it."""

from collections.abc import Mapping

from sandbox.cytube.accounts import Accounts
from sandbox.cytube.audience import Audience, Handler
from sandbox.cytube.board import REGISTERED_PERMISSIONS, UNREGISTERED_PERMISSIONS, Board
from sandbox.cytube.chat import Chat
from sandbox.cytube.config import Channel, ServerConfig
from sandbox.cytube.limits import Throttle
from sandbox.cytube.moderation import Moderation
from sandbox.cytube.player import Player
from sandbox.cytube.queueing import Queueing
from sandbox.cytube.ranks import Ranks
from sandbox.cytube.record import Record
from sandbox.cytube.session import Session
from sandbox.cytube.votes import Votes


class Room(Audience):
    """One channel with its members. Without ``definition`` nobody has registered it."""

    def __init__(
        self, name: str, *, definition: Channel | None, config: ServerConfig, accounts: Accounts, record: Record
    ) -> None:
        super().__init__(
            name,
            clock=config.clock,
            permissions=REGISTERED_PERMISSIONS if definition else UNREGISTERED_PERMISSIONS,
            locked=definition is not None and definition.locked,
        )
        self.definition = definition
        self.config = config
        self.emptied_at: float | None = None
        self.board = Board(self, definition)
        self.ranks = Ranks(self, accounts, registered=definition is not None)
        self.moderation = Moderation(self, accounts)
        self.player = Player(self, self.ranks, shuffle=config.random)
        self.votes = Votes(self, self.board, self.player)
        self.chat = Chat(self, self.board, record=record, rate=config.chat_rate, longest=config.chat_length)
        for commanded in (self.ranks, self.moderation, self.player, self.votes):
            self.chat.commands.update(commanded.commands())
        self.chat.away.append(self.votes.unvote)
        self.queueing = Queueing(self, self.board, self.player, definition, config)
        self.player.changes += [self.board.reset_drinks, self.votes.reset_skips]
        self.departures += [self.chat.inactive, self.player.left, self.votes.unvote, self._left]
        self.usercount = Throttle(self.clock, config.usercount_interval, self._send_usercount)
        self.handlers: dict[str, Handler] = {}
        for feature in (
            self.board,
            self.chat,
            self.player,
            self.queueing,
            self.votes,
            self.moderation,
            self.ranks,
        ):
            self.handlers.update(feature.handlers())

    @property
    def password(self) -> str:
        """What the door asks for; empty when it is open."""
        return str(self.board.options["password"] or "")

    def announce(self, session: Session, *, to_self: bool) -> None:
        """A member has a name now."""
        self.chat.active(session)
        self.introduce(session, to_self=to_self)

    def admit(self, session: Session) -> None:
        """Make the session a member and send it the burst that answers joinChannel."""
        if session.name:
            self.expel_duplicate(session)
        first = not self.members
        self.add(session)
        if session.name:
            self.announce(session, to_self=False)
        if session.outlet is not None:
            self._burst(session)
        self.usercount.request()
        if self.definition is None:
            session.send("channelNotRegistered")
        if first:
            self.player.resume()

    def expel_duplicate(self, session: Session) -> None:
        """The older of two sessions of one user has to go."""
        older = self.find(session.name)
        if older is not None and older is not session:
            self.expel(older, "Duplicate login")

    def close(self) -> None:
        """The server stops: nobody is told, nothing is timed any more."""
        for member in self.members:
            self.chat.inactive(member)
        self.disperse()
        self.player.leader = None
        self._emptied()

    def is_being_saved(self) -> bool:
        """True within ``lost_join_window`` of having been emptied: joinChannel is lost then."""
        window = self.config.lost_join_window
        return bool(window) and self.emptied_at is not None and self.clock.monotonic() - self.emptied_at <= window

    def state(self) -> Mapping[str, object]:
        """What the control endpoint shows."""
        return {
            "usercount": self.count(),
            "users": [self.profile(member, full=True) for member in self.members if member.name],
            "playlist": self.player.as_events(),
            "current": self.player.current_uid,
        }

    def _burst(self, session: Session) -> None:
        session.send("setPermissions", self.permissions)
        session.send("setPlaylistLocked", self.locked)
        session.send("emoteList", list(self.board.emotes.values()))
        self.chat.send_history(session)
        self.board.send_all(session)
        self.votes.send_poll(session)
        self.player.send_playlist(session)
        if session.registered:
            self.player.send_playlist(session)
        self.player.send_current(session)
        self.send_userlist(session)

    def _left(self, _session: Session) -> None:
        self.usercount.request()
        if not self.members:
            self._emptied()

    def _emptied(self) -> None:
        self.emptied_at = self.clock.monotonic()
        self.usercount.cancel()
        self.player.pause()
        self.votes.forget()
        self.board.drinks = 0

    def _send_usercount(self) -> None:
        self.broadcast("usercount", self.count())
