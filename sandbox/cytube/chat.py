"""Public chat and private messages. Source: recording 05, 06, 17 and 18; CyTube's channel/chat.js."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.cytube.audience import Audience, Command, Handler, Meta
from sandbox.cytube.board import Board
from sandbox.cytube.frames import as_object
from sandbox.cytube.limits import Rate
from sandbox.cytube.names import is_user_name
from sandbox.cytube.record import Line, Record
from sandbox.cytube.session import Message, Session
from sandbox.cytube.text import cut, format_line, without_control

#: Lines that somebody who joins is sent (recording 06).
HISTORY = 15
#: Words that JavaScript finds in every object: a line that begins with one is swallowed as if it were a command.
INHERITED = frozenset(
    ("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf")
)


class Chat:
    """What is said in one channel."""

    def __init__(self, audience: Audience, board: Board, *, record: Record, rate: Rate, longest: int) -> None:
        self._audience = audience
        self._board = board
        self._record = record
        self._rate_of_all = rate
        self._longest = longest
        #: CyTube's own chat commands by their word, without the slash.
        self.commands: dict[str, Command] = {
            "me": self._formatted(addClass="action", action=True),
            "sp": self._formatted(addClass="spoiler"),
            **dict.fromkeys(("say", "rcv", "shout"), self._shout),
            "afk": lambda session, rest, meta: self.set_afk(session, afk=not session.afk),
            "clear": lambda session, rest, meta: self.clear(session),
        }
        self.away: list[Callable[[Session], None]] = []
        self.history: deque[Message] = deque(maxlen=HISTORY)

    def handlers(self) -> Mapping[str, Handler]:
        """Events that are handled here."""
        return {"chatMsg": self.receive, "pm": self.receive_pm}

    def send_history(self, session: Session) -> None:
        """The last lines, looking exactly like live ones."""
        for message in self.history:
            session.post(message)

    def clear(self, by: Session) -> None:
        """Wipe the history and everybody's screen; silent without the right."""
        if not self._audience.may(by, "chatclear"):
            return
        self.history.clear()
        self._audience.broadcast("clearchat", {"clearedBy": by.name})
        self._audience.broadcast("chatMsg", self._audience.server_line(f"{by.name} cleared chat."))

    def set_afk(self, session: Session, *, afk: bool) -> None:
        """Mark the user as away or back."""
        session.afk = afk
        if afk:
            session.send("clearVoteskipVote")
            for unvote in self.away:
                unvote(session)
        self._audience.announce_meta(session)
        self._audience.broadcast("setAFK", {"name": session.name, "afk": afk})

    def active(self, session: Session) -> None:
        """The user has done something: AFK comes ``afk_timeout`` from now."""
        self.inactive(session)
        timeout = _seconds(self._board.options["afk_timeout"])
        if session.outlet is not None and timeout > 0:
            session.afk_timer = self._audience.clock.call_later(timeout, lambda: self._idle(session))

    def inactive(self, session: Session) -> None:
        """Wait for nothing of this user any more."""
        if session.afk_timer is not None:
            session.afk_timer.cancel()
            session.afk_timer = None

    def _idle(self, session: Session) -> None:
        if not session.afk:
            self.set_afk(session, afk=True)

    def receive(self, session: Session, data: object) -> None:
        """A line from a client. Silent where the real server is: anonymous, without permission, blank."""
        wanted = as_object(data, {"msg": "string", "meta": "object?"})
        if not session.name or not self._audience.may(session, "chat"):
            return
        text = cut(wanted["msg"], longest=self._longest)
        if not self._board.options["allow_ascii_control"]:
            text = without_control(text)
        if not text.strip() or self._is_too_new(session, text):
            return
        meta = self._flair(session, wanted.get("meta"))
        called = self._board.call_drinks(session, text)
        if called is not None:
            text, meta = called, {**meta, "addClass": "drink", "forceShowName": True}
        if called != "":
            self.process(session, text, meta)

    def process(self, session: Session, text: str, meta: Meta) -> None:
        """A line or a command: the rest of ``/me``, ``/sp`` and ``/say`` comes here again, and counts again."""
        if "/afk" not in text:
            self.active(session)
            if session.afk:
                self.set_afk(session, afk=False)
        if self._floods(session, self._rate(session)):
            return
        if text.startswith(">"):
            meta = {**meta, "addClass": "greentext"}
        word, _, rest = text[1:].partition(" ")
        if text.startswith("/") and word in INHERITED:
            return
        if text.startswith("/") and word in self.commands:
            self.commands[word](session, rest, meta)
        elif session.muted and not session.shadow_muted:
            session.send("noflood", {"action": "chat", "msg": "You have been muted on this channel."})
        else:
            self.say(session, text, meta)

    def say(self, session: Session, text: str, meta: Meta) -> None:
        """Send a line to the room and remember it; a shadow-muted user's only to moderators and themselves."""
        line = self._line(session, text, meta)
        if session.shadow_muted:
            session.send("chatMsg", line)
            self._audience.broadcast_from(2, "chatMsg", line | {"meta": {**meta, "shadow": True}}, but=session)
            return
        self._audience.broadcast("chatMsg", line)
        self.history.append(Message("chatMsg", line))
        self._remember(session, text, line)

    def receive_pm(self, session: Session, data: object) -> None:
        """A private message: to the addressee, and back to the sender as an echo."""
        wanted = as_object(data, {"msg": "string", "to": "string", "meta": "object?"})
        to = wanted["to"].lower()
        wrong = self._wrong_with_pm(session, to)
        if wrong:
            session.send("errorMsg", {"msg": wrong})
            return
        if self._floods(session, self._rate_of_all):
            return
        addressee = self._audience.find(to)
        if addressee is None:
            session.send("errorMsg", {"msg": f"PM failed: {to} isn't connected to this channel."})
            return
        self.deliver_pm(session, addressee, wanted["msg"], wanted.get("meta"))

    @staticmethod
    def _wrong_with_pm(session: Session, to: str) -> str:
        if not session.name:
            return "You must be signed in to send PMs"
        if to == session.name.lower():
            return "You can't PM yourself!"
        if not is_user_name(to):
            return f"PM failed: {to} isn't a valid username."
        return ""

    def deliver_pm(self, session: Session, addressee: Session, text: str, flair: object = None) -> None:
        """Send a private message that has passed all checks."""
        text = cut(text, longest=self._longest)
        meta = self._flair(session, flair)
        if text.startswith(">"):
            meta["addClass"] = "greentext"
        line = self._line(session, text, meta) | {"to": addressee.name}
        message = Message("pm", line)
        addressee.post(message)
        session.post(message)
        self._remember(session, text, line)

    def _line(self, session: Session, text: str, meta: Meta) -> dict[str, Any]:
        links = bool(self._board.options["enable_link_regex"])
        html = format_line(text, filters=self._board.filters, links=links)
        return {"username": session.name, "msg": html, "meta": dict(meta), "time": self._audience.now_ms()}

    def _remember(self, session: Session, text: str, line: Mapping[str, Any]) -> None:
        self._record.add(
            Line(self._audience.name, session.name, text, html=line["msg"], time=line["time"], to=line.get("to", ""))
        )

    def _formatted(self, **style: object) -> Command:
        return lambda session, rest, meta: self.process(session, rest, {**meta, **style})

    def _shout(self, session: Session, rest: str, meta: Meta) -> None:
        if session.rank >= 1.5:
            shout = {"addClass": "shout", "addClassToNameAndTimestamp": True, "forceShowName": True}
            self.process(session, rest, {**meta, **shout})

    @staticmethod
    def _floods(session: Session, rate: Rate) -> bool:
        if session.chat_limiter.refuses(rate):
            session.send("cooldown", rate.wait_ms)
            return True
        return False

    def _rate(self, session: Session) -> Rate:
        options = self._board.options
        strict = options["chat_antiflood_params"]
        if options["chat_antiflood"] and not session.is_moderator and isinstance(strict, dict):
            return Rate(int(strict["burst"]), float(strict["sustained"]), float(strict["cooldown"]))
        return self._rate_of_all

    def _is_too_new(self, session: Session, text: str) -> bool:
        """Guests are as old as their login; registered users are never too new here."""
        if session.registered:
            return False
        options, age = self._board.options, self._audience.clock.monotonic() - session.named_at
        if age < _seconds(options["new_user_chat_delay"]):
            session.send("spamFiltered", {"reason": "NEW_USER_CHAT"})
            return True
        if "://" in text and age < _seconds(options["new_user_chat_link_delay"]):
            session.send("spamFiltered", {"reason": "NEW_USER_CHAT_LINK"})
            return True
        return False

    @staticmethod
    def _flair(session: Session, meta: object) -> dict[str, object]:
        wanted = meta.get("modflair") if isinstance(meta, dict) else None
        return {"modflair": session.rank} if session.is_moderator and wanted == session.rank else {}


def _seconds(option: object) -> float:
    return float(option) if isinstance(option, int | float) else 0.0
