"""The way in: from a fresh connection over login and channel password to membership of a room.

Order and silence of the answers follow recording 02 to 11 and 22 to 24.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from sandbox.cytube.accounts import Accounts
from sandbox.cytube.audience import Handler
from sandbox.cytube.config import Account, ServerConfig
from sandbox.cytube.frames import BadFrame
from sandbox.cytube.limits import RateLimiter
from sandbox.cytube.names import is_channel_name, is_reserved, is_user_name
from sandbox.cytube.record import Record
from sandbox.cytube.room import Room
from sandbox.cytube.session import MODERATOR, Session

BAD_GUEST_NAME = (
    "Invalid username.  Usernames must be 1-20 characters long and consist only of characters a-z, A-Z, 0-9, -, or _."
)
BAD_CHANNEL = "Invalid channel name.  Channel names may consist of 1-30 characters in the set a-z, A-Z, 0-9, -, and _"
ANONYMOUS_BLOCKED = "This channel has blocked anonymous users. Please provide a user name to join."

Check = Callable[[Account, str], Awaitable[bool]]


class Faults:
    """What goes wrong on purpose. ``lost_joins`` counts down with every joinChannel that gets no answer."""

    def __init__(self) -> None:
        self.lost_joins = 0
        self.silent_login = False


class Hub:
    """All rooms and all connections of a server."""

    def __init__(self, config: ServerConfig, accounts: Accounts, record: Record) -> None:
        self.config = config
        self.faults = Faults()
        self.rooms: dict[str, Room] = {}
        #: Addresses that the whole server has banned (CyTube's io/ioserver.js).
        self.banned: set[str] = set()
        self._accounts = accounts
        self._record = record
        self._definitions = {channel.name.lower(): channel for channel in config.channels}
        self._per_address: Counter[str] = Counter()
        self._limiters: dict[str, RateLimiter] = {}
        self._guests: dict[str, float] = {}
        self._inside: dict[Session, Room] = {}
        self._waiting: dict[Session, Room] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Handler] = {
            "joinChannel": self._join,
            "login": self._login,
            "channelPassword": self._channel_password,
        }

    def room(self, name: str) -> Room:
        """The room of that name, made when it is first asked for."""
        key = name.lower()
        if key not in self.rooms:
            self.rooms[key] = Room(
                key,
                definition=self._definitions.get(key),
                config=self.config,
                accounts=self._accounts,
                record=self._record,
            )
        return self.rooms[key]

    # connections

    def refusal(self, ip: str) -> str:
        """Why a new connection from the address is not let in; "" when it is."""
        if ip in self.banned:
            return "You are banned from the server"
        limits = self.config.address_limits
        if limits is None:
            return ""
        limiter = self._limiters.setdefault(ip, RateLimiter(self.config.clock))
        return "Rate limit exceeded" if limiter.refuses(limits.connections) else ""

    def opened(self, session: Session) -> None:
        """A connection stands: it is told its rank and nothing else, or that it is one too many."""
        self._per_address[session.ip] += 1
        limits = self.config.address_limits
        if limits is not None and self._per_address[session.ip] > limits.concurrent:
            session.kick("Too many connections from your IP address")
            return
        session.send("rank", -1)

    def closed(self, session: Session) -> None:
        """A connection is gone, for whatever reason."""
        session.closed = True
        self._waiting.pop(session, None)
        self._per_address[session.ip] -= 1
        room = self._inside.pop(session, None)
        if room is not None:
            room.leave(session)

    async def stop(self) -> None:
        """Forget all connections without a word to anybody; rooms keep what a database would keep."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for room in self.rooms.values():
            room.close()
        self._inside.clear()
        self._waiting.clear()
        self._per_address.clear()
        self._limiters.clear()
        self._guests.clear()

    def handle(self, session: Session, event: str, data: object) -> object:
        """Answer an event; what it returns is the acknowledgement, None for none."""
        if session.closed:
            return None
        handler = self._handlers.get(event)
        room = self._inside.get(session)
        if handler is None and room is not None:
            handler = room.handlers.get(event)
        if handler is None:
            return None
        try:
            return handler(session, data)
        except BadFrame as wrong:
            session.send("errorMsg", {"msg": f"Unexpected error for message {event}: {wrong}"})
            return None

    # joining

    def _join(self, session: Session, data: object) -> None:
        if session.asked_to_join or not isinstance(data, dict) or not isinstance(data.get("name"), str):
            return
        session.asked_to_join = True
        if not is_channel_name(data["name"]):
            session.send("errorMsg", {"msg": BAD_CHANNEL})
            session.kick("Invalid channel name")
            return
        room = self.room(data["name"])
        if self.faults.lost_joins > 0:
            self.faults.lost_joins -= 1
            return
        if room.is_being_saved():
            return
        if room.moderation.is_address_banned(session):
            session.kick("You are banned from this channel.")
            return
        self._waiting[session] = room
        if session.registered:
            session.rank = room.ranks.of(session)
            session.send("rank", session.rank)
        if not self._is_welcome(session, room, data.get("pw")):
            session.send("needPassword", data.get("pw") is not None)
            return
        self._enter(session, room)

    def _is_welcome(self, session: Session, room: Room, password: object) -> bool:
        return not room.password or session.rank >= MODERATOR or password == room.password

    def _enter(self, session: Session, room: Room) -> None:
        if room.board.options["block_anonymous_users"] and not session.name:
            session.send("errorMsg", {"msg": ANONYMOUS_BLOCKED})
            return
        if session.registered:
            room.announce_rank(session)
        self._admit(session, room)
        if session.registered:
            session.send("listPlaylists", [])
        room.moderation.enforce(session)

    def _admit(self, session: Session, room: Room) -> None:
        self._waiting.pop(session, None)
        self._inside[session] = room
        room.admit(session)

    def _channel_password(self, session: Session, data: object) -> None:
        room = self._waiting.get(session)
        if room is None or not room.password:
            return
        if data != room.password:
            session.send("needPassword", True)
            return
        session.send("cancelNeedPassword")
        self._enter(session, room)

    # logging in

    def _login(self, session: Session, data: object) -> None:
        if not isinstance(data, dict):
            session.send("errorMsg", {"msg": "Invalid login frame"})
            return
        name, password = data.get("name"), data.get("pw")
        if session.name or session.logging_in or self.faults.silent_login or not isinstance(name, str):
            return
        if not password:
            self._guest_login(session, name)
        elif isinstance(password, str):
            session.logging_in = True
            task = asyncio.get_running_loop().create_task(self._registered_login(session, name, password))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _guest_login(self, session: Session, name: str) -> None:
        wrong = self._wrong_with_guest(session, name)
        if wrong:
            _fail(session, wrong)
            return
        self._guests[session.ip] = self.config.clock.monotonic()
        session.name, session.rank, session.site_rank = name, 0, 0
        session.send("rank", 0)
        session.send("login", {"success": True, "name": name, "guest": True})
        self._named(session)

    def _wrong_with_guest(self, session: Session, name: str) -> str:
        if not is_user_name(name):
            return BAD_GUEST_NAME
        if is_reserved(name):
            return "That username is reserved."
        limits, last = self.config.address_limits, self._guests.get(session.ip)
        if limits is not None and last is not None and self.config.clock.monotonic() - last < limits.guest_seconds:
            return f"Guest logins are restricted to one per IP address per {limits.guest_seconds:.0f} seconds."
        if self._accounts.looks_registered(name):
            return "That username is registered."
        room = self._inside.get(session)
        if room is not None and room.find(name) is not None:
            return "That name is already in use on this channel."
        return ""

    async def _registered_login(self, session: Session, name: str, password: str) -> None:
        try:
            account, wrong = await self._authenticate(name, password)
        finally:
            session.logging_in = False
        if session.closed:
            return
        if account is None:
            _fail(session, wrong)
            return
        session.name, session.registered = account.name, True
        session.rank = session.site_rank = account.site_rank
        session.send("rank", account.site_rank)
        session.send("login", {"success": True, "name": account.name})
        self._named(session)

    async def _authenticate(self, name: str, password: str) -> tuple[Account | None, str]:
        if not is_user_name(name):
            return None, f'Invalid username "{name}"'
        account = self._accounts.find(name)
        if account is None:
            return None, "User does not exist"
        if not await asyncio.to_thread(self._accounts.matches, account, password):
            return None, "Invalid username/password combination"
        return account, ""

    def _named(self, session: Session) -> None:
        session.named_at = self.config.clock.monotonic()
        if session in self._inside:
            self._named_inside(session, self._inside[session])
        elif session in self._waiting:
            self._named_at_the_door(session, self._waiting[session])

    def _named_inside(self, session: Session, room: Room) -> None:
        room.expel_duplicate(session)
        room.announce(session, to_self=True)
        if session.registered:
            session.rank = room.ranks.of(session)
            session.send("rank", session.rank)
            if session.is_moderator:
                room.send_userlist(session)
            room.player.send_playlist(session)
            room.announce_rank(session)
        room.moderation.enforce(session)

    def _named_at_the_door(self, session: Session, room: Room) -> None:
        if session.registered:
            session.rank = room.ranks.of(session)
            session.send("rank", session.rank)
        if not self._is_welcome(session, room, None):
            return
        guarded = bool(room.password)
        self._admit(session, room)
        if guarded:
            session.send("cancelNeedPassword")
        if session.registered:
            room.announce_rank(session)
            session.send("listPlaylists", [])
        room.moderation.enforce(session)


def _fail(session: Session, sentence: str) -> None:
    session.send("login", {"success": False, "error": sentence})
